//! A conversation on this node: who of its members has a session here, and the order in which they
//! are told.
//!
//! Nothing is handed over under a membership older than the event's: such events wait until the
//! members are loaded again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::registered::SessionCore;
use crate::model::{ConversationId, Epoch, Marks, Members, Position, SessionId, UserId};
use crate::observe::Instruments;
use crate::ports::{Event, EventBody, LiveEvent, ReceiptChange};

/// Entries held back for one before them; at the limit they are told at once, as they are.
const MAX_HELD: usize = 128;
/// Events that wait for the members; at the limit they are dropped, which `prev` shows.
const MAX_WAITING: usize = 1024;

/// Sessions here from which on a conversation's receivers are not woken for each event.
const PACED: usize = 200;
/// What it costs, roughly, to wake a receiver and write to its socket. Those of a paced conversation are
/// woken no sooner than they can all have written what they were woken for before.
const WAKE_COST: Duration = Duration::from_micros(8);
/// Events that are told between two wake-ups at the most.
const MOST_QUIET: usize = 64;

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) conversation: ConversationId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: Epoch,
    subscribers: Vec<Subscriber>,
    /// The newest entry told.
    last: Option<Position>,
    held: BTreeMap<Position, LiveEvent>,
    releasing: bool,
    waiting: Option<Vec<LiveEvent>>,
    /// Marks told, so that none is told to go back.
    marks: HashMap<UserId, Marks>,
    pace: Pace,
}

/// When the receivers of a large conversation are woken.
#[derive(Debug, Default)]
struct Pace {
    /// Not before; `None` before the first time.
    next: Option<Instant>,
    /// Events told since they were woken.
    quiet: usize,
    /// Whether somebody sees to it that they are.
    seen_to: bool,
}

impl Pace {
    /// Whether those who are told an event now, so many, are woken for it.
    fn wakes(&mut self, receivers: usize) -> bool {
        if receivers < PACED {
            self.quiet = 0;
            return true;
        }
        let now = Instant::now();
        let wakes = self.quiet >= MOST_QUIET || self.next.is_none_or(|next| next <= now);
        if wakes {
            self.woken(receivers, now);
        } else {
            self.quiet += 1;
        }
        wakes
    }

    fn woken(&mut self, receivers: usize, now: Instant) {
        self.quiet = 0;
        let cost = WAKE_COST.saturating_mul(u32::try_from(receivers).unwrap_or(u32::MAX));
        self.next = Some(now + cost);
    }
}

#[derive(Debug)]
struct Subscriber {
    session: Arc<SessionCore>,
    visible_from: Position,
    /// What the session got by attaching.
    floor: Position,
}

/// What the caller must see to after an event was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followup {
    None,
    /// Load the members, then [`Hub::renew`].
    Reload,
    /// Call [`Hub::release`] after a moment.
    Release,
}

impl Hub {
    pub(crate) fn new(conversation: ConversationId, epoch: Epoch) -> Self {
        Self {
            conversation,
            state: Mutex::new(State {
                epoch,
                ..State::default()
            }),
        }
    }

    /// Adds a session whose user was found to be a member at `epoch`.
    pub(crate) fn subscribe(
        &self,
        session: &Arc<SessionCore>,
        visible_from: Position,
        epoch: Epoch,
    ) -> (bool, Followup) {
        let mut state = self.state.lock();
        let new = !state
            .subscribers
            .iter()
            .any(|other| Arc::ptr_eq(&other.session, session));
        if new {
            state.subscribers.push(Subscriber {
                session: session.clone(),
                visible_from,
                floor: Position::default(),
            });
        }
        if epoch == state.epoch {
            (new, Followup::None)
        } else {
            (new, state.start_reload())
        }
    }

    /// Takes a session out. Returns whether nobody is left.
    pub(crate) fn unsubscribe(&self, session: &SessionId) -> bool {
        let mut state = self.state.lock();
        state
            .subscribers
            .retain(|other| other.session.id != *session);
        state.subscribers.is_empty()
    }

    /// The membership by which events are handed over.
    pub(crate) fn epoch(&self) -> Epoch {
        self.state.lock().epoch
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().subscribers.is_empty()
    }

    /// Notes what a session got by attaching.
    pub(crate) fn attached(&self, session: &SessionId, up_to: Position) {
        let mut state = self.state.lock();
        if let Some(own) = state
            .subscribers
            .iter_mut()
            .find(|own| own.session.id == *session)
        {
            own.floor = own.floor.max(up_to);
        }
    }

    /// Takes an event in that is meant for the members at `epoch`.
    pub(crate) fn deliver(
        &self,
        event: LiveEvent,
        epoch: Epoch,
        instruments: &Instruments,
    ) -> Followup {
        let mut state = self.state.lock();
        if let Some(waiting) = &mut state.waiting {
            if waiting.len() < MAX_WAITING {
                waiting.push(event);
            } else {
                instruments.publish_drops.increment(1);
            }
            return Followup::None;
        }
        if epoch > state.epoch {
            state.waiting = Some(vec![event]);
            return Followup::Reload;
        }
        state.take_in(event, instruments)
    }

    /// Asks for the members to be loaded again, unless that is under way.
    pub(crate) fn start_reload(&self) -> Followup {
        self.state.lock().start_reload()
    }

    /// Takes over newly loaded members: takes out who is none, and hands over what waited.
    /// `local` gives the sessions of a user on this node.
    pub(crate) fn renew(
        &self,
        members: &Members,
        local: impl Fn(&UserId) -> Vec<Arc<SessionCore>>,
        instruments: &Instruments,
    ) -> Renewed {
        let mut renewed = Renewed {
            joined: Vec::new(),
            reloads: false,
            releases: false,
        };
        let mut state = self.state.lock();
        if members.epoch >= state.epoch {
            state.epoch = members.epoch;
            let conversation = self.conversation;
            state
                .subscribers
                .retain_mut(|own| match members.get(&own.session.user) {
                    Some(member) => {
                        own.visible_from = member.visible_from;
                        true
                    }
                    None => {
                        own.session.forget(conversation);
                        own.session
                            .tell(EventBody::Left { conversation }.into(), instruments);
                        false
                    }
                });
            for (user, member) in &members.list {
                for session in local(user) {
                    if !state
                        .subscribers
                        .iter()
                        .any(|own| own.session.id == session.id)
                    {
                        session.tell(EventBody::Joined { conversation }.into(), instruments);
                        state.subscribers.push(Subscriber {
                            session: session.clone(),
                            visible_from: member.visible_from,
                            floor: Position::default(),
                        });
                        renewed.joined.push(session);
                    }
                }
            }
        }
        let mut again = Vec::new();
        for event in state.waiting.take().unwrap_or_default() {
            if event.epoch() > state.epoch {
                again.push(event);
            } else if state.take_in(event, instruments) == Followup::Release {
                renewed.releases = true;
            }
        }
        if !again.is_empty() {
            state.waiting = Some(again);
            renewed.reloads = true;
        }
        renewed
    }

    /// Ends a conversation that does not exist.
    pub(crate) fn disband(&self, instruments: &Instruments) {
        let mut state = self.state.lock();
        let conversation = self.conversation;
        for own in std::mem::take(&mut state.subscribers) {
            own.session.forget(conversation);
            own.session
                .tell(EventBody::Left { conversation }.into(), instruments);
        }
        state.waiting = None;
        state.held.clear();
    }

    /// When [`wake`](Self::wake) must be called, if nobody else sees to that.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let pace = &mut self.state.lock().pace;
        if pace.quiet == 0 || std::mem::replace(&mut pace.seen_to, true) {
            return None;
        }
        pace.next
    }

    /// Wakes the receivers of what was told quietly.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        state.pace.seen_to = false;
        if state.pace.quiet > 0 {
            let receivers = state.subscribers.len();
            state.pace.woken(receivers, Instant::now());
            for own in &state.subscribers {
                own.session.queue.wake();
            }
        }
    }

    /// Tells what was held back.
    pub(crate) fn release(&self, instruments: &Instruments) {
        let mut state = self.state.lock();
        state.releasing = false;
        for (_, event) in std::mem::take(&mut state.held) {
            state.tell(&event, instruments);
        }
    }
}

/// What became of a reload.
#[derive(Debug)]
pub(crate) struct Renewed {
    /// Sessions that are subscribed now and were not before.
    pub(crate) joined: Vec<Arc<SessionCore>>,
    /// Newer members are to be loaded.
    pub(crate) reloads: bool,
    /// [`Hub::release`] is to be called after a moment, whatever becomes of the reload.
    pub(crate) releases: bool,
}

impl State {
    fn start_reload(&mut self) -> Followup {
        if self.waiting.is_some() {
            return Followup::None;
        }
        self.waiting = Some(Vec::new());
        Followup::Reload
    }

    fn take_in(&mut self, event: LiveEvent, instruments: &Instruments) -> Followup {
        let EventBody::Entry(entry) = event.event.body() else {
            match self.forward_marks(event) {
                Some(event) => self.tell(&event, instruments),
                None => return Followup::None,
            }
            return Followup::None;
        };
        let position = entry.position;
        let in_order = match (self.last, entry.prev) {
            (Some(last), Some(prev)) => prev == last || position <= last,
            _ => true,
        };
        if !in_order && self.held.len() < MAX_HELD {
            instruments.held.increment(1);
            self.held.insert(position, event);
            return if std::mem::replace(&mut self.releasing, true) {
                Followup::None
            } else {
                Followup::Release
            };
        }
        self.tell(&event, instruments);
        while let Some((_, next)) = self.held.first_key_value() {
            let EventBody::Entry(entry) = next.event.body() else {
                break;
            };
            if entry.prev != self.last {
                break;
            }
            if let Some((_, next)) = self.held.pop_first() {
                self.tell(&next, instruments);
            }
        }
        Followup::None
    }

    /// Leaves out marks that would go back.
    fn forward_marks(&mut self, event: LiveEvent) -> Option<LiveEvent> {
        let EventBody::Receipts {
            conversation,
            changes,
        } = event.event.body()
        else {
            return Some(event);
        };
        let mut forward = Vec::with_capacity(changes.len());
        for change in changes {
            let known = self.marks.entry(change.user.clone()).or_default();
            let marks = known.max(change.marks);
            if marks != *known {
                *known = marks;
                forward.push(ReceiptChange {
                    user: change.user.clone(),
                    marks,
                });
            }
        }
        if forward == *changes {
            Some(event)
        } else if forward.is_empty() {
            None
        } else {
            let body = EventBody::Receipts {
                conversation: *conversation,
                changes: forward,
            };
            Some(LiveEvent {
                event: body.into(),
                ..event
            })
        }
    }

    fn tell(&mut self, event: &LiveEvent, instruments: &Instruments) {
        let position = match event.event.body() {
            EventBody::Entry(entry) => {
                self.last = self.last.max(Some(entry.position));
                Some(entry.position)
            }
            _ => None,
        };
        let wakes = self.pace.wakes(self.subscribers.len());
        let mut told = 0;
        for own in &self.subscribers {
            let hidden = position.is_some_and(|at| at < own.visible_from || at <= own.floor);
            if hidden
                || event
                    .origin
                    .as_ref()
                    .is_some_and(|origin| *origin == own.session.id)
            {
                // Not for this one, but for those that it was told quietly.
                if wakes {
                    own.session.queue.wake();
                }
                continue;
            }
            let event = Event::clone(&event.event);
            if wakes {
                own.session.tell_uncounted(event, instruments);
            } else {
                own.session.tell_quietly(event, instruments);
            }
            told += 1;
        }
        instruments.deliveries.increment(told);
    }
}

impl LiveEvent {
    fn epoch(&self) -> Epoch {
        match &self.audience {
            crate::ports::Audience::Members { epoch, .. } => *epoch,
            _ => Epoch::default(),
        }
    }
}

#[cfg(test)]
mod tests;
