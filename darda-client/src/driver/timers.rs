//! What is due when. A timer that has lost its reason is looked at when it fires, and does nothing.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::id::{ClientId, ConversationId, Position};

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Connect.
    Connect,
    /// Is the server still there?
    Silence,
    /// The reply to a command should have come.
    Reply(u64),
    /// A send may be tried again.
    Send(ConversationId, ClientId),
    /// A command may be tried again.
    Ask,
    /// A conversation may have to be attached.
    Attach(ConversationId),
    /// An entry that stands elsewhere is asked for again.
    Place(ConversationId, Position),
    /// The list of conversations is asked for again.
    List,
    /// What the app has handled is written down.
    KeepCursors,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), Due>,
    set: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, due: Due) {
        self.set += 1;
        self.due.insert((at, self.set), due);
    }

    /// Takes away all that `unwanted` names.
    pub(super) fn clear(&mut self, unwanted: impl Fn(&Due) -> bool) {
        self.due.retain(|_, due| !unwanted(due));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
