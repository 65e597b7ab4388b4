//! An element of a conversation's log.

use std::sync::Arc;

use serde::Deserialize;

use super::command::{HistoryStart, Role};
use crate::id::{ClientId, ConversationId, EntryId, Position, UserId};

/// An element of a conversation's log.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// The conversation.
    pub conversation: ConversationId,
    /// Where it stands.
    pub position: Position,
    /// The position of the entry before it; `None`: not known where it was made.
    pub prev: Option<Position>,
    /// The version of the conversation's membership. Of one's own sends it is what this client knew.
    pub epoch: u64,
    /// Its id.
    pub entry: EntryId,
    /// Who made it.
    pub sender: UserId,
    /// What the sender's device called it.
    pub client_id: ClientId,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields are named as in docs/protocol.md")]
pub enum Body {
    /// A message.
    Message {
        text: String,
        reply_to: Option<EntryId>,
        #[serde(default)]
        mentions: Vec<UserId>,
        /// JSON of the app's own.
        metadata: Option<Metadata>,
    },
    /// New content of a message.
    Edit {
        target: EntryId,
        text: String,
        #[serde(default)]
        mentions: Vec<UserId>,
        metadata: Option<Metadata>,
    },
    /// The end of a message.
    Delete { target: EntryId },
    /// A reaction.
    React { target: EntryId, reaction: String },
    /// The end of a reaction.
    Unreact { target: EntryId, reaction: String },
    /// A change of members.
    Members { change: Change },
    /// Bytes that the server does not look into, as base64 with padding.
    Opaque { payload: String },
    /// A type of a later version: to be read over.
    #[serde(other)]
    Unknown,
}

impl Body {
    /// The text of a message or of an edit.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Message { text, .. } | Self::Edit { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// JSON of the app's own, passed on as it is.
pub type Metadata = Arc<serde_json::Value>;

/// A change of a group's members.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields are named as in docs/protocol.md")]
pub enum Change {
    /// The group begins.
    Create {
        title: String,
        members: Vec<UserId>,
        history: HistoryStart,
    },
    /// It has another title.
    Rename { title: String },
    /// Users join.
    Add { users: Vec<UserId> },
    /// A user is taken out.
    Remove { user: UserId },
    /// The sender leaves.
    Leave,
    /// A user may do more or less.
    Role { user: UserId, role: Role },
}
