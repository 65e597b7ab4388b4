//! What the sessions and tasks of a node share.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::blocks::Blocks;
use super::chat::Ports;
use super::handover::Handover;
use super::hub::Hub;
use super::options::{Options, Rate};
use super::publish::{Outgoing, Routes};
use super::receipts::Receipts;
use super::registered::{SessionCore, Sessions};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ConversationId, Members, NodeId, SessionId, UserId};
use crate::observe::Instruments;

/// Ended sessions that wait to be taken out of the registry.
const UNREGISTER_QUEUE: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) instruments: Instruments,
    pub(crate) sessions: Sessions,
    pub(crate) hubs: Mutex<HashMap<ConversationId, Arc<Hub>>>,
    pub(crate) members: Mutex<LruCache<ConversationId, Arc<Members>>>,
    pub(crate) blocks: Blocks,
    pub(crate) routes: Routes,
    pub(crate) receipts: Receipts,
    pub(crate) handover: mpsc::Sender<Handover>,
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
    pub(crate) unregister: mpsc::Sender<(UserId, SessionId)>,
    /// Whether sessions of an earlier process of this name have ended.
    pub(super) alone: OnceCell<()>,
    /// Whether the registry lacks sessions of this node.
    pub(crate) unregistered: AtomicBool,
    /// Stop when what waits is done.
    pub(crate) stop: CancellationToken,
    /// Stop at once.
    pub(crate) killed: CancellationToken,
    pub(crate) draining: AtomicBool,
    pub(crate) tasks: TaskTracker,
    user_rate: Option<DefaultKeyedRateLimiter<UserId>>,
    next_session: AtomicU64,
}

/// The receiving ends of a node's queues, each for one task.
pub(crate) struct Inboxes {
    pub(crate) handover: mpsc::Receiver<Handover>,
    pub(crate) publish: mpsc::Receiver<Outgoing>,
    pub(crate) unregister: mpsc::Receiver<(UserId, SessionId)>,
}

impl Node {
    pub(crate) fn new(ports: Ports, options: Options) -> (Arc<Self>, Inboxes) {
        let capacity = options.publish_queue.max(1);
        let (handover, handover_inbox) = mpsc::channel(capacity);
        let (outgoing, publish_inbox) = mpsc::channel(capacity);
        let (unregister, unregister_inbox) = mpsc::channel(UNREGISTER_QUEUE);
        let remembered = NonZeroUsize::new(options.members_cached).unwrap_or(NonZeroUsize::MIN);
        let node = Self {
            id: options.node.clone().unwrap_or_else(drawn_name),
            instruments: Instruments::new(),
            sessions: Sessions::default(),
            hubs: Mutex::default(),
            members: Mutex::new(LruCache::new(remembered)),
            blocks: Blocks::default(),
            routes: Routes::new(remembered, options.route_ttl),
            receipts: Receipts::default(),
            handover,
            outgoing,
            unregister,
            alone: OnceCell::new(),
            unregistered: AtomicBool::new(false),
            stop: CancellationToken::new(),
            killed: CancellationToken::new(),
            draining: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            user_rate: options
                .user_rate
                .map(|rate| RateLimiter::keyed(quota(rate))),
            next_session: AtomicU64::new(1),
            ports,
            options,
        };
        let inboxes = Inboxes {
            handover: handover_inbox,
            publish: publish_inbox,
            unregister: unregister_inbox,
        };
        (Arc::new(node), inboxes)
    }

    /// Runs a task of the node, which a kill cuts off.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let killed = self.killed.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = killed.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Does a request's work within the request timeout.
    pub(crate) async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let closed = || Error::new(ErrorKind::Closed, "the node has stopped");
        if self.killed.is_cancelled() {
            return Err(closed());
        }
        tokio::select! {
            biased;
            done = tokio::time::timeout(self.options.request_timeout, work) => {
                done.unwrap_or_else(|_| Err(Error::unavailable("no answer within the time limit")))
            }
            () = self.killed.cancelled() => Err(closed()),
        }
    }

    /// Waits for what is in an inbox. After a stop it takes what is left. Returns whether there is
    /// anything.
    pub(crate) async fn gather<T>(
        &self,
        inbox: &mut mpsc::Receiver<T>,
        batch: &mut Vec<T>,
        limit: usize,
    ) -> bool {
        tokio::select! {
            biased;
            count = inbox.recv_many(batch, limit) => count > 0,
            () = self.stop.cancelled() => {
                inbox.close();
                inbox.recv_many(batch, limit).await > 0
            }
        }
    }

    /// Waits, but not past a stop. Returns whether to go on.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    pub(crate) fn new_session_id(&self) -> SessionId {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        SessionId {
            node: self.id.clone(),
            number,
        }
    }

    pub(crate) fn session_limiter(&self) -> Option<DefaultDirectRateLimiter> {
        self.options
            .session_rate
            .map(|rate| RateLimiter::direct(quota(rate)))
    }

    /// Counts a request of a session.
    pub(crate) fn admit(&self, session: &SessionCore) -> Result<()> {
        match session.rate.as_ref().map(RateLimiter::check) {
            Some(Err(until)) => Err(self.limited(&until)),
            _ => Ok(()),
        }
    }

    /// Counts a send of a session and its user.
    pub(crate) fn admit_send(&self, session: &SessionCore) -> Result<()> {
        self.admit(session)?;
        match self
            .user_rate
            .as_ref()
            .map(|rate| rate.check_key(&session.user))
        {
            Some(Err(until)) => Err(self.limited(&until)),
            _ => Ok(()),
        }
    }

    /// Forgets users who have not sent for a while.
    pub(crate) fn tidy_rates(&self) {
        if let Some(rate) = &self.user_rate {
            rate.retain_recent();
        }
    }

    fn limited(
        &self,
        until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>,
    ) -> Error {
        self.instruments.rate_limited.increment(1);
        Error::new(ErrorKind::RateLimited, "too many requests")
            .with_retry_after(until.wait_time_from(DefaultClock::default().now()))
    }
}

fn quota(rate: Rate) -> Quota {
    let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst))
}

/// A name that no other process draws: the standard library's hash keys are random.
fn drawn_name() -> NodeId {
    let draw = || RandomState::new().build_hasher().finish();
    NodeId::new(format!(
        "{:016x}",
        draw() ^ u64::from(std::process::id()).rotate_left(32)
    ))
}

/// Waiting times between attempts: doubled each time up to a limit.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(Self::LONGEST);
        now
    }
}
