//! What a client asks for.

use serde::{Deserialize, Serialize};

use super::entry::{Body, Change, Metadata};
use crate::id::{ClientId, ConversationId, EntryId, Position, UserId};
use crate::{Error, ErrorKind, Result};

/// A command without its `id`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub enum Command {
    OpenDirect {
        user: UserId,
    },
    CreateGroup {
        client_id: ClientId,
        title: String,
        members: Vec<UserId>,
        history: HistoryStart,
        #[serde(skip_serializing_if = "is_false")]
        resend: bool,
    },
    Attach {
        conversation: ConversationId,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<Position>,
    },
    Resume {
        cursors: Vec<Cursor>,
    },
    History {
        conversation: ConversationId,
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Position>,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Position>,
        limit: usize,
    },
    Conversations {
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Position>,
        limit: usize,
    },
    Members {
        conversation: ConversationId,
    },
    Receipts {
        conversation: ConversationId,
    },
    Delivered {
        conversation: ConversationId,
        position: Position,
    },
    Seen {
        conversation: ConversationId,
        position: Position,
    },
    Typing {
        conversation: ConversationId,
        active: bool,
    },
    Presence {
        conversation: ConversationId,
    },
    Block {
        user: UserId,
    },
    Unblock {
        user: UserId,
    },
    Blocks,
    Ping,
    #[serde(untagged)]
    Append {
        conversation: ConversationId,
        client_id: ClientId,
        #[serde(flatten)]
        append: Append,
        #[serde(skip_serializing_if = "is_false")]
        resend: bool,
    },
}

/// Up to where a device misses nothing of a conversation.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub struct Cursor {
    pub conversation: ConversationId,
    pub cursor: Position,
}

/// What is put into a log, and waits in the outbox until the server has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "fields are named as in docs/protocol.md")]
pub enum Append {
    /// A message.
    Send(Message),
    /// Bytes that the server does not look into, as base64 with padding: at most 32 KiB of them.
    SendOpaque { payload: String },
    /// New content of one's own message.
    Edit {
        target: EntryId,
        #[serde(flatten)]
        message: Message,
    },
    /// The end of a message.
    Delete { target: EntryId },
    /// A reaction of at most 32 bytes, usually an emoji.
    React { target: EntryId, reaction: String },
    /// The end of a reaction.
    Unreact { target: EntryId, reaction: String },
    /// A group's new title, at most 128 bytes.
    Rename { title: String },
    /// At most 100 users join a group.
    Add { users: Vec<UserId> },
    /// A member is taken out of a group.
    Remove { user: UserId },
    /// The user leaves a group.
    Leave,
    /// A member of a group may do more or less.
    SetRole { user: UserId, role: Role },
}

impl Append {
    /// As its entry says it, and whether it changes the members.
    pub(crate) fn into_body(self) -> (Body, bool) {
        let change = |change| (Body::Members { change }, true);
        let body = match self {
            Self::Send(Message {
                text,
                reply_to,
                mentions,
                metadata,
            }) => Body::Message {
                text,
                reply_to,
                mentions,
                metadata,
            },
            Self::SendOpaque { payload } => Body::Opaque { payload },
            Self::Edit { target, message } => Body::Edit {
                target,
                text: message.text,
                mentions: message.mentions,
                metadata: message.metadata,
            },
            Self::Delete { target } => Body::Delete { target },
            Self::React { target, reaction } => Body::React { target, reaction },
            Self::Unreact { target, reaction } => Body::Unreact { target, reaction },
            Self::Rename { title } => return change(Change::Rename { title }),
            Self::Add { users } => return change(Change::Add { users }),
            Self::Remove { user } => return change(Change::Remove { user }),
            Self::Leave => return change(Change::Leave),
            Self::SetRole { user, role } => return change(Change::Role { user, role }),
        };
        (body, false)
    }
}

/// What a message or an edit says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// At most 16 KiB of UTF-8; empty only with metadata.
    pub text: String,
    /// The entry that this answers. Not for edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// A JSON object of the app's own: at most 4 KiB, 32 levels deep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

impl Message {
    /// A text and nothing else.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// It answers an entry.
    #[must_use]
    pub fn with_reply_to(mut self, entry: EntryId) -> Self {
        self.reply_to = Some(entry);
        self
    }

    /// It mentions users.
    #[must_use]
    pub fn with_mentions(mut self, users: Vec<UserId>) -> Self {
        self.mentions = users;
        self
    }

    /// It carries JSON of the app's own: an object.
    #[must_use]
    pub fn with_metadata(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = Some(Metadata::new(metadata));
        self
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// What a member of a group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub enum Role {
    Member,
    Admin,
    Owner,
}

/// Where the history of those who are added to a group later starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryStart {
    /// At the group's beginning.
    #[default]
    Beginning,
    /// When they join.
    Joining,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Command {
    /// As it goes out, under a number of the sender's.
    ///
    /// # Errors
    /// `Invalid` for metadata that is no JSON.
    pub fn frame(&self, id: u64) -> Result<String> {
        serde_json::to_string(&Numbered { id, command: self }).map_err(|error| {
            Error::caused(ErrorKind::Invalid, "a command cannot be written", error)
        })
    }
}

#[derive(Debug, Serialize)]
struct Numbered<'a> {
    id: u64,
    #[serde(flatten)]
    command: &'a Command,
}
