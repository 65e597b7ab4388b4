//! The sessions of this node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use governor::DefaultDirectRateLimiter;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::EventQueue;
use super::surface::Unread;
use crate::model::{ConversationId, Position, SessionId, UserId};
use crate::observe::Instruments;
use crate::ports::Event;

/// The node's half of a session; the other half is the [`Session`](super::Session) handle.
#[derive(Debug)]
pub(crate) struct SessionCore {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) queue: EventQueue,
    pub(crate) rate: Option<DefaultDirectRateLimiter>,
    state: Mutex<CoreState>,
}

#[derive(Debug)]
struct CoreState {
    conversations: BTreeSet<ConversationId>,
    /// Unread counts, each with the head and the mark that it holds for.
    unread: BTreeMap<ConversationId, (Position, Position, Unread)>,
    next_pulse: Instant,
}

impl SessionCore {
    pub(crate) fn new(
        id: SessionId,
        user: UserId,
        queue: EventQueue,
        rate: Option<DefaultDirectRateLimiter>,
        next_pulse: Instant,
    ) -> Self {
        let state = CoreState {
            conversations: BTreeSet::new(),
            unread: BTreeMap::new(),
            next_pulse,
        };
        Self {
            id,
            user,
            queue,
            rate,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn tell(&self, event: Event, instruments: &Instruments) {
        instruments.deliveries.increment(1);
        self.tell_uncounted(event, instruments);
    }

    pub(crate) fn tell_uncounted(&self, event: Event, instruments: &Instruments) {
        let dropped = self.queue.push(event);
        if dropped > 0 {
            tracing::debug!(session = ?self.id, dropped, "slow session: backlog dropped");
            instruments.session_drops.increment(dropped as u64);
        }
    }

    pub(crate) fn remember(&self, conversation: ConversationId) {
        self.state.lock().conversations.insert(conversation);
    }

    pub(crate) fn forget(&self, conversation: ConversationId) {
        let mut state = self.state.lock();
        state.conversations.remove(&conversation);
        state.unread.remove(&conversation);
    }

    /// The unread count, if it was counted for this head and mark.
    pub(crate) fn unread(
        &self,
        conversation: ConversationId,
        head: Position,
        seen: Position,
    ) -> Option<Unread> {
        let state = self.state.lock();
        let (for_head, for_seen, unread) = state.unread.get(&conversation)?;
        (*for_head == head && *for_seen == seen).then_some(*unread)
    }

    pub(crate) fn remember_unread(
        &self,
        conversation: ConversationId,
        head: Position,
        seen: Position,
        unread: Unread,
    ) {
        let mut state = self.state.lock();
        if state.conversations.contains(&conversation) {
            state.unread.insert(conversation, (head, seen, unread));
        }
    }

    pub(crate) fn conversations(&self) -> BTreeSet<ConversationId> {
        self.state.lock().conversations.clone()
    }

    /// Whether the pulse is due; if so, the next one is after `every`.
    pub(crate) fn take_pulse(&self, now: Instant, every: std::time::Duration) -> bool {
        let mut state = self.state.lock();
        let due = state.next_pulse <= now;
        if due {
            state.next_pulse = now + every;
        }
        due
    }

    /// Brings the next pulse forward.
    pub(crate) fn pulse_at(&self, at: Instant) {
        let mut state = self.state.lock();
        state.next_pulse = state.next_pulse.min(at);
    }
}

/// All sessions of the node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    state: Mutex<SessionsState>,
}

#[derive(Debug, Default)]
struct SessionsState {
    by_number: BTreeMap<u64, Arc<SessionCore>>,
    by_user: HashMap<UserId, Vec<Arc<SessionCore>>>,
}

impl Sessions {
    pub(crate) fn add(&self, session: Arc<SessionCore>) {
        let mut state = self.state.lock();
        state
            .by_user
            .entry(session.user.clone())
            .or_default()
            .push(session.clone());
        state.by_number.insert(session.id.number, session);
    }

    pub(crate) fn remove(&self, session: &SessionCore) {
        let mut state = self.state.lock();
        state.by_number.remove(&session.id.number);
        if let Some(sessions) = state.by_user.get_mut(&session.user) {
            sessions.retain(|other| other.id != session.id);
            if sessions.is_empty() {
                state.by_user.remove(&session.user);
            }
        }
    }

    pub(crate) fn of(&self, user: &UserId) -> Vec<Arc<SessionCore>> {
        self.state
            .lock()
            .by_user
            .get(user)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<Arc<SessionCore>> {
        self.state.lock().by_number.values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().by_number.len()
    }
}
