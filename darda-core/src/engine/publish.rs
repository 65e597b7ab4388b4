//! The live way to other nodes. It may lose: `prev` and heads show what is missing.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{StreamExt, stream};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::kept::Kept;
use super::node::Node;
use crate::error::{Error, Result};
use crate::model::limits::SMALL_CONVERSATION;
use crate::model::{ConversationId, Members, NodeId, UserId};
use crate::ports::{LiveEvent, Publication, Route};

const MAX_BATCH: usize = 1000;
/// Routes that are looked up at a time.
const LOOKUPS: usize = 64;
/// A way is asked for again in the last part of its time, one in so many, so that it is still known when
/// an event that is being made comes.
const RENEWED_IN_THE_LAST: u32 = 8;

/// An event for other nodes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) event: LiveEvent,
    pub(super) to: To,
}

/// Whose nodes an event is for.
#[derive(Debug, Clone)]
pub(crate) enum To {
    /// Those of a conversation's members, as far as this node knows them.
    Conversation(ConversationId),
    /// Those of these users.
    Users(Vec<UserId>),
    /// All.
    All,
}

/// The nodes of conversations' members, remembered for a moment.
#[derive(Debug)]
pub(crate) struct Routes {
    known: Mutex<LruCache<ConversationId, Known>>,
    ttl: Duration,
}

#[derive(Debug)]
struct Known {
    nodes: Arc<[NodeId]>,
    until: Instant,
}

impl Routes {
    pub(crate) fn new(size: NonZeroUsize, ttl: Duration) -> Self {
        Self {
            known: Mutex::new(LruCache::new(size)),
            ttl,
        }
    }

    fn get(&self, conversation: ConversationId) -> Option<Arc<[NodeId]>> {
        self.known_at(Instant::now(), conversation)
    }

    fn known_at(&self, time: Instant, conversation: ConversationId) -> Option<Arc<[NodeId]>> {
        let mut known = self.known.lock();
        let route = known.get(&conversation)?;
        (time < route.until).then(|| route.nodes.clone())
    }

    fn foreseen(&self, conversation: ConversationId) -> bool {
        let soon = Instant::now() + self.ttl / RENEWED_IN_THE_LAST;
        self.known_at(soon, conversation).is_some()
    }

    fn put(&self, conversation: ConversationId, nodes: Arc<[NodeId]>) {
        let until = Instant::now() + self.ttl;
        self.known.lock().put(conversation, Known { nodes, until });
    }

    pub(crate) fn forget(&self, conversation: ConversationId) {
        self.known.lock().pop(&conversation);
    }
}

impl Node {
    /// Sends an event to other nodes, if there are any to send it to.
    pub(crate) fn publish(&self, event: LiveEvent, to: To) {
        if let To::Conversation(conversation) = &to
            && self
                .routes
                .get(*conversation)
                .is_some_and(|nodes| nodes.is_empty())
        {
            return;
        }
        if self.outgoing.try_send(Outgoing { event, to }).is_err() {
            self.instruments.publish_drops.increment(1);
        }
    }

    /// Does the work that ends with an event for these members, and looks its way up meanwhile. The
    /// work does not wait for that.
    pub(crate) async fn foreseeing<T>(
        &self,
        members: &Members,
        work: impl Future<Output = T>,
    ) -> T {
        let looked_up = members.list.len() <= SMALL_CONVERSATION;
        if !looked_up || self.routes.foreseen(members.conversation) {
            return work.await;
        }
        let looking = Box::pin(self.members_nodes(members));
        match select(looking, pin!(work)).await {
            Either::Left((_, work)) => work.await,
            // The event looks for its way itself.
            Either::Right((done, _)) => done,
        }
    }

    /// Other nodes that an event is for; `None` if there are none.
    ///
    /// # Errors
    /// The registry's.
    async fn route(&self, to: To) -> Result<Option<Route>> {
        let all = || Ok(Some(Route::AllBut(self.id.clone())));
        let users = match to {
            To::All => return all(),
            To::Users(users) if users.len() > SMALL_CONVERSATION => return all(),
            To::Users(users) => users,
            To::Conversation(conversation) => {
                if let Some(nodes) = self.routes.get(conversation) {
                    return Ok((!nodes.is_empty()).then_some(Route::Nodes(nodes)));
                }
                let Some(members) = self.remembered(conversation) else {
                    return all();
                };
                if members.list.len() > SMALL_CONVERSATION {
                    return all();
                }
                let nodes = self.members_nodes(&members).await?;
                return Ok((!nodes.is_empty()).then_some(Route::Nodes(nodes)));
            }
        };
        let nodes = self.other_nodes(users).await?;
        Ok((!nodes.is_empty()).then_some(Route::Nodes(nodes)))
    }

    /// Other nodes of a conversation's members, which are known for a while from then on.
    async fn members_nodes(&self, members: &Members) -> Result<Arc<[NodeId]>> {
        let users = members.list.keys().cloned().collect();
        let nodes = self.other_nodes(users).await?;
        self.routes.put(members.conversation, nodes.clone());
        Ok(nodes)
    }

    async fn other_nodes(&self, users: Vec<UserId>) -> Result<Arc<[NodeId]>> {
        let nodes = self.bounded(self.ports.registry.nodes_of(users)).await?;
        Ok(nodes.into_iter().filter(|node| *node != self.id).collect())
    }

    /// Routes of a batch, each looked up once, side by side: a registry that hangs costs a batch one
    /// wait.
    async fn routes_of(&self, batch: &[Outgoing]) -> BTreeMap<Target, Result<Option<Route>>> {
        let targets: BTreeMap<_, _> = batch
            .iter()
            .enumerate()
            .map(|(at, outgoing)| (Target::of(at, &outgoing.to), outgoing.to.clone()))
            .collect();
        let lookups = targets
            .into_iter()
            .map(|(target, to)| async move { (target, self.route(to).await) });
        let routes = stream::iter(lookups).buffer_unordered(LOOKUPS);
        routes.collect().await
    }
}

/// Whom events of a batch have in common: a conversation's go the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Conversation(ConversationId),
    /// The event at this place in the batch, by itself.
    Event(usize),
}

impl Target {
    fn of(at: usize, to: &To) -> Self {
        match to {
            To::Conversation(conversation) => Self::Conversation(*conversation),
            To::Users(_) | To::All => Self::Event(at),
        }
    }
}

impl Node {
    /// Publishes a batch. Returns what could not be, and might be later.
    async fn publish_all(&self, batch: Vec<Outgoing>) -> Vec<Outgoing> {
        let routes = self.routes_of(&batch).await;
        let mut publications = Vec::with_capacity(batch.len());
        let mut failed = Vec::new();
        let mut going = Vec::with_capacity(batch.len());
        for (at, outgoing) in batch.into_iter().enumerate() {
            match routes.get(&Target::of(at, &outgoing.to)) {
                Some(Ok(Some(route))) => {
                    let event = &outgoing.event;
                    if let Some(encoder) = &self.options.encoder {
                        event.event.encoded(|body| (encoder.0)(body));
                    }
                    publications.push(Publication {
                        route: route.clone(),
                        event: event.clone(),
                    });
                    going.push(outgoing);
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "no route for a live event");
                    self.set_aside(error, vec![outgoing], &mut failed);
                }
                Some(Ok(None)) | None => {}
            }
        }
        if !publications.is_empty()
            && let Err(error) = self.bounded(self.ports.broker.publish(publications)).await
        {
            tracing::debug!(%error, count = going.len(), "live events not published");
            self.set_aside(&error, going, &mut failed);
        }
        failed
    }

    /// What can never be published is dropped, so that it does not take others with it for ever.
    fn set_aside(&self, error: &Error, mut events: Vec<Outgoing>, failed: &mut Vec<Outgoing>) {
        if error.is_transient() {
            failed.append(&mut events);
        } else {
            self.instruments
                .publish_drops
                .increment(events.len() as u64);
        }
    }
}

pub(crate) async fn run(node: Arc<Node>, mut inbox: mpsc::Receiver<Outgoing>) {
    let mut kept = Kept::new(node.options.publish_queue);
    loop {
        let mut batch = kept.take_due(MAX_BATCH);
        if batch.is_empty() {
            let goes_on = tokio::select! {
                biased;
                goes_on = node.gather(&mut inbox, &mut batch, MAX_BATCH) => goes_on,
                () = kept.is_due() => continue,
            };
            if !goes_on {
                return;
            }
            // If it fails, it is kept itself.
            let lost = kept.supersede(&batch);
            node.instruments.publish_drops.increment(lost);
        }
        node.instruments.publish_depth.set(batch.len() as f64);
        let failed = node.publish_all(batch).await;
        if !failed.is_empty() {
            let lost = kept.keep(failed);
            node.instruments.publish_drops.increment(lost);
        }
    }
}
