//! Frames of `darda.v1`, written from `docs/protocol.md`. Unknown fields, events and types of entries
//! are read over, as that page asks.

mod command;
mod entry;
mod event;
mod reply;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::command::{Append, Command, Cursor, HistoryStart, Message, Role};
pub use self::entry::{Body, Change, Entry, Metadata};
pub use self::event::{Event, Head, Hello, Limits, Receipt};
pub use self::reply::{
    Ack, Attached, ConversationKind, Gap, Member, Members, Page, Presence, Summary, Unread,
};
pub(crate) use self::reply::{Created, Listed, Opened, PresenceReply, Receipts, Resumed, Users};

/// The subprotocol that a client offers.
pub const SUBPROTOCOL: &str = "darda.v1";

/// A frame of the server: an event, or the reply to a command.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(borrow)]
    pub(crate) event: Option<Cow<'a, str>>,
    pub(crate) id: Option<u64>,
    #[serde(borrow)]
    pub(crate) ok: Option<&'a RawValue>,
    pub(crate) error: Option<Refusal>,
}

/// Why the server did not do something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// Stable: what a program acts on. See "Errors" in the protocol.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Milliseconds after which the same can succeed; `None`: it will not.
    pub retry_after_ms: Option<u64>,
}

#[cfg(test)]
mod tests;
