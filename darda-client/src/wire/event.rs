//! What the server says by itself.

use serde::Deserialize;

use super::entry::Entry;
use crate::id::{ConversationId, EntryId, Position, UserId};

/// A frame that answers nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub enum Event {
    Hello(Hello),
    Entry(Entry),
    Withdrawn {
        conversation: ConversationId,
        entry: EntryId,
        position: Position,
        stands: Option<Position>,
    },
    Receipts {
        conversation: ConversationId,
        receipts: Vec<Receipt>,
    },
    Typing {
        conversation: ConversationId,
        user: UserId,
        active: bool,
    },
    Joined {
        conversation: ConversationId,
    },
    Left {
        conversation: ConversationId,
    },
    Heads {
        heads: Vec<Head>,
    },
    Gap {
        #[serde(default)]
        conversations: Vec<ConversationId>,
        #[serde(default)]
        all: bool,
    },
    Draining {
        reconnect_within_ms: u64,
    },
    /// An event of a later version: to be read over.
    #[serde(other)]
    Unknown,
}

/// The first frame of a connection.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub struct Hello {
    pub user: UserId,
    pub session: String,
    pub node: String,
    pub heartbeat_ms: u64,
    pub limits: Limits,
}

/// What the server refuses above.
#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub struct Limits {
    pub max_frame_bytes: usize,
    pub max_text_bytes: usize,
    pub max_page: usize,
}

/// How far a member has come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// The member.
    pub user: UserId,
    /// Everything up to here reached a device.
    pub delivered: Position,
    /// Everything up to here was seen.
    pub seen: Position,
}

/// The newest position of a conversation.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub struct Head {
    pub conversation: ConversationId,
    pub position: Position,
}
