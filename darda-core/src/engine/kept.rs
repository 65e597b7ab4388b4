//! Events that could not be published and that nothing else would tell of soon, until the broker is there
//! again. Of a conversation's entries the newest is enough: its `prev` shows the others. Not of changes of
//! members, which those are told of as well who are none after them. Who joined is read again when it is
//! told, so that it may come late.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::publish::Outgoing;
use crate::model::{Body, ConversationId, Position, UserId};
use crate::ports::{Audience, EventBody};

/// Before they are tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What is kept.
#[derive(Debug)]
pub(super) struct Kept {
    events: BTreeMap<About, Outgoing>,
    limit: usize,
    /// When they are tried again.
    due: Instant,
}

/// What an event tells of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Entries(ConversationId),
    Change(ConversationId, Position),
    Joined(ConversationId, Vec<UserId>),
}

impl About {
    /// `None`: it is of no use later.
    fn of(outgoing: &Outgoing) -> Option<Self> {
        match (outgoing.event.event.body(), &outgoing.event.audience) {
            (EventBody::Entry(entry), _) => Some(match entry.body {
                Body::Members { .. } => Self::Change(entry.conversation, entry.position),
                _ => Self::Entries(entry.conversation),
            }),
            (EventBody::Joined { conversation }, Audience::Users(users)) => {
                Some(Self::Joined(*conversation, users.clone()))
            }
            _ => None,
        }
    }
}

impl Kept {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            events: BTreeMap::new(),
            limit,
            due: Instant::now(),
        }
    }

    /// Keeps what is worth it, for a while. Returns how many events are lost.
    pub(super) fn keep(&mut self, failed: Vec<Outgoing>) -> u64 {
        self.due = Instant::now() + TRY_AGAIN;
        let mut lost = 0;
        for outgoing in failed {
            lost += match About::of(&outgoing) {
                Some(about) if self.has_room_for(&about, &outgoing) => {
                    u64::from(self.events.insert(about, outgoing).is_some())
                }
                _ => 1,
            };
        }
        lost
    }

    fn has_room_for(&self, about: &About, outgoing: &Outgoing) -> bool {
        match self.events.get(about) {
            Some(kept) => is_told_by(kept, outgoing),
            None => self.events.len() < self.limit,
        }
    }

    /// A batch that is about to be published tells of what is kept. Returns how many events are not needed
    /// any more.
    pub(super) fn supersede(&mut self, batch: &[Outgoing]) -> u64 {
        let mut needless = 0;
        for outgoing in batch {
            if self.events.is_empty() {
                break;
            }
            if let Some(about) = About::of(outgoing)
                && let Some(kept) = self.events.get(&about)
                && is_told_by(kept, outgoing)
            {
                self.events.remove(&about);
                needless += 1;
            }
        }
        needless
    }

    /// Takes up to so many of them, when their time has come.
    pub(super) fn take_due(&mut self, limit: usize) -> Vec<Outgoing> {
        if self.events.is_empty() || Instant::now() < self.due {
            return Vec::new();
        }
        let events = std::iter::from_fn(|| self.events.pop_first());
        events.take(limit).map(|(_, outgoing)| outgoing).collect()
    }

    /// When their time has come. Cancel-safe.
    pub(super) async fn is_due(&self) {
        if self.events.is_empty() {
            return std::future::pending().await;
        }
        sleep_until(self.due).await;
    }
}

/// Whether who is told of the second event misses nothing without the first, which is about the same.
fn is_told_by(kept: &Outgoing, later: &Outgoing) -> bool {
    match (kept.event.event.body(), later.event.event.body()) {
        (EventBody::Entry(kept), EventBody::Entry(later)) => kept.position <= later.position,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
