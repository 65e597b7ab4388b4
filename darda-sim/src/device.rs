//! A client: one device of one user, which follows the protocol's rules, session after session.
//!
//! One task holds its session, reads its events and catches up; sends and reads are tasks of their
//! own that end with the session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use darda_core::Session;
use darda_core::model::{ClientId, ConversationId, UserId};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use crate::history::{DeviceNo, SessionNo, Shown, What};
use crate::recorder::Recorder;
use crate::sending::Sending;
use crate::view::View;
use crate::world::World;

const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MOST_BACKOFF: Duration = Duration::from_secs(5);

/// A client.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) no: DeviceNo,
    pub(crate) user: UserId,
    pub(crate) recorder: Recorder,
    pub(crate) world: Arc<World>,
    pub(crate) state: Mutex<State>,
    /// Something to look after has come up.
    pub(crate) poke: Notify,
    /// The session is to be given up.
    leave: Notify,
}

#[derive(Debug)]
pub(crate) struct State {
    wanted: bool,
    pub(crate) live: Option<Live>,
    pub(crate) views: BTreeMap<ConversationId, View>,
    /// Conversations to attach, and when.
    pub(crate) needs: BTreeMap<ConversationId, Need>,
    /// The list of conversations is to be read.
    pub(crate) needs_list: bool,
    pub(crate) unacked: BTreeMap<ClientId, Sending>,
    pub(crate) acked: Vec<Sending>,
    pub(crate) names: u32,
    last_session: SessionNo,
    pub(crate) reading: bool,
    lag_until: Option<Instant>,
    pub(crate) rng: Rng,
}

/// The session that lives.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) session: Arc<Session>,
    pub(crate) no: SessionNo,
    since: Instant,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

/// A conversation to attach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    pub(crate) due: Instant,
    pub(crate) failures: u32,
    /// What is held may be wrong: read all again.
    pub(crate) anew: bool,
}

/// Why a session's task goes on to the next session.
pub(crate) struct Gone;

pub(crate) fn backoff(failures: u32) -> Duration {
    (FIRST_BACKOFF * 2_u32.saturating_pow(failures.min(8))).min(MOST_BACKOFF)
}

impl Device {
    /// A client that is not connected yet.
    #[must_use]
    pub(crate) fn new(
        no: DeviceNo,
        user: UserId,
        seed: u64,
        recorder: Recorder,
        world: Arc<World>,
    ) -> Arc<Self> {
        let state = State {
            wanted: false,
            live: None,
            views: BTreeMap::new(),
            needs: BTreeMap::new(),
            needs_list: false,
            unacked: BTreeMap::new(),
            acked: Vec::new(),
            names: 0,
            last_session: 0,
            reading: false,
            lag_until: None,
            rng: Rng::with_seed(seed ^ (u64::from(no) << 32)),
        };
        let (poke, leave) = (Notify::new(), Notify::new());
        Arc::new(Self {
            no,
            user,
            recorder,
            world,
            state: Mutex::new(state),
            poke,
            leave,
        })
    }

    /// Starts the client. It goes on until the handle is aborted.
    #[must_use]
    pub(crate) fn start(self: &Arc<Self>) -> JoinHandle<()> {
        let device = self.clone();
        tokio::spawn(async move {
            loop {
                device.one_session().await;
            }
        })
    }

    /// The client wants a session from now on, or none.
    pub(crate) fn want(&self, wanted: bool) {
        self.state.lock().wanted = wanted;
        if wanted {
            self.poke.notify_one();
        } else {
            self.leave();
        }
    }

    /// Gives the session up without a word; the next one may be on any node.
    pub(crate) fn leave(&self) {
        if self.state.lock().live.is_some() {
            self.leave.notify_one();
        }
    }

    /// Stops reading events for a while.
    pub(crate) fn lag(&self, time: Duration) {
        self.state.lock().lag_until = Some(Instant::now() + time);
        self.poke.notify_one();
    }

    /// Whether all is sent and nothing is left to catch up.
    #[must_use]
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.live.is_some()
            && !state.needs_list
            && state.needs.is_empty()
            && state.unacked.is_empty()
            && state.views.values().all(|view| !view.is_behind())
    }

    /// Writes down how far the session has come, if it lives since then.
    pub(crate) fn note_rest(&self, since: Instant) {
        let state = self.state.lock();
        let Some(live) = state.live.as_ref().filter(|live| live.since <= since) else {
            return;
        };
        let cursors = state
            .views
            .iter()
            .filter_map(|(conversation, view)| view.cursor().map(|cursor| (*conversation, cursor)));
        self.recorder.note(What::Rested {
            session: live.no,
            cursors: cursors.collect(),
        });
    }

    /// What it shows.
    #[must_use]
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let state = self.state.lock();
        let shown = |(conversation, view): (&ConversationId, &View)| Shown {
            user: self.user.clone(),
            device: self.no,
            conversation: *conversation,
            entries: view.shown(),
        };
        state.views.iter().map(shown).collect()
    }

    /// The session that it has, or had last.
    #[must_use]
    pub(crate) fn last_session(&self) -> SessionNo {
        self.state.lock().last_session
    }

    /// What it still waits for, in words.
    #[must_use]
    pub(crate) fn unsettled(&self) -> String {
        let state = self.state.lock();
        format!(
            "settle: connected {}, list wanted {}, {} to attach, {} unacknowledged",
            state.live.is_some(),
            state.needs_list,
            state.needs.len(),
            state.unacked.len()
        )
    }

    async fn one_session(self: &Arc<Self>) {
        while !self.state.lock().wanted {
            self.poke.notified().await;
        }
        let Some(live) = self.connect().await else {
            return;
        };
        let gone = async {
            tokio::select! {
                biased;
                () = self.leave.notified() => {}
                Gone = self.follow(&live) => {}
            }
        };
        gone.await;
        self.state.lock().live = None;
        let tasks = std::mem::take(&mut *live.tasks.lock());
        tasks.iter().for_each(AbortHandle::abort);
        self.recorder.note(What::Closed { session: live.no });
        drop(live);
        let pause = Duration::from_millis(self.state.lock().rng.u64(1..300));
        tokio::time::sleep(pause).await;
    }

    async fn connect(self: &Arc<Self>) -> Option<Live> {
        let mut failures = 0;
        loop {
            let pick = self.state.lock().rng.u32(..);
            if let Some(node) = self.world.node(pick) {
                let no = self.recorder.session();
                let connected =
                    tokio::time::timeout(Duration::from_secs(30), node.connect(self.user.clone()));
                if let Ok(Ok(session)) = connected.await {
                    let live = Live {
                        session: Arc::new(session),
                        no,
                        since: Instant::now(),
                        tasks: Arc::default(),
                    };
                    self.recorder.note(What::Connected {
                        session: no,
                        device: self.no,
                        user: self.user.clone(),
                        node: node.node().as_str().to_owned(),
                    });
                    let mut state = self.state.lock();
                    state.last_session = no;
                    state.live = Some(live.clone());
                    state.needs_list = true;
                    return Some(live);
                }
            }
            tokio::time::sleep(backoff(failures)).await;
            failures += 1;
            if !self.state.lock().wanted {
                return None;
            }
        }
    }

    /// Lives with a session until it is gone.
    async fn follow(self: &Arc<Self>, live: &Live) -> Gone {
        if let Err(gone) = self.bring_up(live).await {
            return gone;
        }
        let names: Vec<_> = self.state.lock().unacked.keys().cloned().collect();
        for name in names {
            self.deliver(live, name);
        }
        let mut events = Vec::new();
        loop {
            let lag = self.state.lock().lag_until.take();
            if let Some(until) = lag {
                tokio::time::sleep_until(until).await;
            }
            if let Err(gone) = self.look_after(live).await {
                return gone;
            }
            let due = self.state.lock().needs.values().map(|need| need.due).min();
            let due = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                () = self.poke.notified() => {}
                open = live.session.events(&mut events) => {
                    if !open {
                        return Gone;
                    }
                    for event in events.drain(..) {
                        self.heed(live, &event);
                    }
                }
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// Runs something beside the session, at most as long as the session.
    pub(crate) fn beside(&self, live: &Live, task: impl Future<Output = ()> + Send + 'static) {
        live.tasks.lock().push(tokio::spawn(task).abort_handle());
    }

    pub(crate) fn need(&self, conversation: ConversationId, after: Duration, anew: bool) {
        let mut state = self.state.lock();
        let due = Instant::now() + after;
        let need = Need {
            due,
            failures: 0,
            anew,
        };
        let need = state.needs.get(&conversation).map_or(need, |old| Need {
            due: old.due.min(due),
            anew: old.anew || anew,
            ..*old
        });
        state.needs.insert(conversation, need);
        drop(state);
        self.poke.notify_one();
    }

    pub(crate) fn forget(&self, conversation: ConversationId) {
        let mut state = self.state.lock();
        state.needs.remove(&conversation);
        if state.views.remove(&conversation).is_some() {
            self.recorder.note(What::Forgot {
                device: self.no,
                conversation,
            });
        }
    }
}
