//! The sessions of this node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::EventQueue;
use super::surface::Unread;
use crate::model::{ConversationId, Position, SessionId, UserId};
use crate::observe::Instruments;
use crate::ports::Event;

/// After a list was due, heads are told without it.
const LATE: Duration = Duration::from_secs(1);

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
    /// When it is due for its list of conversations, heads included.
    next_list: Instant,
    /// When it is due for heads alone, unless its list tells them before.
    next_heads: Instant,
}

/// When a new session is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulses {
    /// For heads, after it began.
    pub(crate) first: Duration,
    /// For its list, roughly.
    pub(crate) every: Duration,
}

/// What a session is told now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// The heads of the conversations that it is known to have: one call of the cache.
    Heads,
    /// Its list of conversations is read again from the store, and then the heads.
    List,
}

/// Between three quarters and five quarters of a period, another share for each session: those that
/// began together, after a restart say, drift apart.
fn apart(every: Duration, session: u64) -> Duration {
    // Multiples of the golden ratio fill the range evenly.
    let share = session.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    every.mul_f64(0.75 + 0.5 * share as f64 / f64::from(u32::MAX))
}

impl SessionCore {
    pub(crate) fn new(
        id: SessionId,
        user: UserId,
        queue: EventQueue,
        rate: Option<DefaultDirectRateLimiter>,
        pulses: Pulses,
    ) -> Self {
        let now = Instant::now();
        let state = CoreState {
            conversations: BTreeSet::new(),
            unread: BTreeMap::new(),
            next_list: now + apart(pulses.every, id.number),
            next_heads: now + pulses.first,
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
        self.note_dropped(self.queue.push(event), instruments);
    }

    /// As [`tell_uncounted`](Self::tell_uncounted), for a receiver that is woken later.
    pub(crate) fn tell_quietly(&self, event: Event, instruments: &Instruments) {
        self.note_dropped(self.queue.push_quietly(event), instruments);
    }

    fn note_dropped(&self, dropped: usize, instruments: &Instruments) {
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

    /// The pulse that is due, if one is. The next one of its kind is due after `every`, roughly. Heads
    /// come first: lists that fail are due again and again.
    pub(crate) fn take_pulse(&self, now: Instant, every: Duration) -> Option<Pulse> {
        let mut state = self.state.lock();
        let next = now + apart(every, self.id.number);
        if state.next_heads <= now {
            state.next_heads = next;
            return Some(Pulse::Heads);
        }
        (state.next_list <= now).then(|| {
            state.next_list = next;
            Pulse::List
        })
    }

    /// The list was told, heads included: they are due alone only if the next one is not.
    pub(crate) fn list_told(&self) {
        let mut state = self.state.lock();
        state.next_heads = state.next_list + LATE;
    }

    /// Brings the next pulse of a kind forward.
    pub(crate) fn pulse_at(&self, pulse: Pulse, at: Instant) {
        let mut state = self.state.lock();
        let next = match pulse {
            Pulse::List => &mut state.next_list,
            Pulse::Heads => &mut state.next_heads,
        };
        *next = (*next).min(at);
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

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn pulses_of_sessions_that_began_together_fill_half_a_period() {
        let mut apart: Vec<_> = (1..=1_500).map(|number| apart(EVERY, number)).collect();
        apart.sort();
        assert!(apart[0] >= EVERY.mul_f64(0.75) && apart[1_499] <= EVERY.mul_f64(1.25));
        // A hundred of them a second, if they are spread evenly over 15 s.
        let most = (0..1_400).map(|at| apart[at + 100] - apart[at]).min();
        assert!(most > Some(Duration::from_millis(800)), "{most:?}");
    }
}
