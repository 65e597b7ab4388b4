//! A client: one device of one user that follows the rules of the protocol's page, session after
//! session. Its [state](State) knows no socket: frames go in, frames come out. [`socket`] carries them.

mod acts;
mod calls;
mod catch_up;
mod copy;
mod events;
mod sending;
pub(crate) mod socket;
mod state;

use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{ConversationId, Position, UserId};
use darda_sim::history::{DeviceNo, Shown};
use darda_sim::recorder::Recorder;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use acts::Act;
use state::State;

use crate::probes::Probes;
use crate::system::Doors;

/// A client. Cheap to share; one task carries its frames.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: UserId,
    doors: Arc<Doors>,
    state: Mutex<State>,
    /// There are frames to send, or it shall leave.
    poke: Notify,
}

impl Client {
    pub(crate) fn new(
        no: DeviceNo,
        user: UserId,
        seed: u64,
        recorder: Recorder,
        doors: Arc<Doors>,
        probes: Arc<Probes>,
    ) -> Arc<Self> {
        let state = State::new(no, user.clone(), seed, recorder, probes);
        Arc::new(Self {
            user,
            doors,
            state: Mutex::new(state),
            poke: Notify::new(),
        })
    }

    /// Does something, now or as soon as it has a session. Whether it can.
    pub(crate) fn act(&self, act: &Act) -> bool {
        let done = self.state.lock().act(act);
        self.poke.notify_one();
        done
    }

    /// Gives its session up, as one whose network changes.
    pub(crate) fn leave(&self) {
        self.state.lock().leave_at = Some(Instant::now());
        self.poke.notify_one();
    }

    /// Whether all is sent and nothing is left to catch up.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.lock().is_settled()
    }

    /// Whether it waits for a membership change of its own.
    pub(crate) fn is_changing(&self) -> bool {
        self.state.lock().is_changing()
    }

    /// Whether it has a session and is a member of this.
    pub(crate) fn is_in(&self, conversation: ConversationId) -> bool {
        self.state.lock().is_in(conversation)
    }

    /// Up to where it misses nothing.
    pub(crate) fn cursor(&self, conversation: ConversationId) -> Option<Position> {
        self.state.lock().cursor(conversation)
    }

    /// Writes down how far the session has come, if it lives since then.
    pub(crate) fn note_rest(&self, since: Instant) {
        self.state.lock().note_rest(since);
    }

    /// Writes something down about its last session.
    pub(crate) fn note_unsettled(&self) {
        self.state.lock().note_unsettled();
    }

    /// What it shows.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.state.lock().shown()
    }

    /// It is over: what it waits for is abandoned.
    pub(crate) fn end(&self) {
        self.state.lock().disconnected();
    }

    /// Whether a session lives that began after this.
    pub(crate) fn has_session_since(&self, since: Instant) -> bool {
        self.state.lock().has_session_since(since)
    }
}

/// The protocol's wait before the next attempt: some tenths of a second, then twice as much each
/// time. 30 s are allowed at most; a run is short, so here it is less.
pub(crate) fn backoff(failures: u32, rng: &mut fastrand::Rng) -> Duration {
    const FIRST: u64 = 200;
    const MOST: u64 = 4_000;
    let most = FIRST
        .saturating_mul(2_u64.saturating_pow(failures.min(16)))
        .min(MOST);
    Duration::from_millis(most / 2 + rng.u64(..=most / 2))
}
