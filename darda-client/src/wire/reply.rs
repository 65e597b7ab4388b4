//! What stands in `ok` of a reply.

use serde::Deserialize;

use super::Refusal;
use super::command::{HistoryStart, Role};
use super::entry::Entry;
use super::event::Receipt;
use crate::id::{ConversationId, EntryId, Position, UserId};

/// The server has kept an entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ack {
    /// The entry's id.
    pub entry: EntryId,
    /// Where it stands.
    pub position: Position,
    /// The position of the entry before it, if that is known.
    pub prev: Option<Position>,
    /// Whether it was there before the send that was acknowledged.
    pub repeat: bool,
}

/// What a conversation holds after a cursor.
#[derive(Debug, Clone, Deserialize)]
pub struct Attached {
    /// Ascending, without holes and repeats.
    pub entries: Vec<Entry>,
    /// What is missing before them; `None`: it is complete.
    pub gap: Option<Gap>,
    /// The newest position, if there is one and it is known.
    pub head: Option<Position>,
    /// The newest entries may be missing.
    #[serde(default)]
    pub stale: bool,
}

/// What an answer left out: entries after a position and before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "named as in docs/protocol.md")]
pub struct Gap {
    pub after: Position,
    pub before: Option<Position>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resumed {
    pub(crate) conversations: Vec<ResumedOne>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ResumedOne {
    pub(crate) conversation: ConversationId,
    pub(crate) error: Option<Refusal>,
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
    pub(crate) gap: Option<Gap>,
    pub(crate) head: Option<Position>,
    #[serde(default)]
    pub(crate) stale: bool,
}

/// A page of history.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    /// Ascending by position.
    pub entries: Vec<Entry>,
    /// Whether there is more in the direction asked.
    pub more: bool,
    /// The newest entries may be missing, because a part of the server does not answer.
    #[serde(default)]
    pub stale: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) conversations: Vec<Summary>,
}

/// A conversation, as the list of conversations has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    /// Its id.
    pub conversation: ConversationId,
    /// Between two users, or a group.
    pub kind: ConversationKind,
    /// The other user of a direct conversation.
    pub peer: Option<UserId>,
    /// A group's title.
    pub title: Option<String>,
    /// What the user may do.
    pub role: Role,
    /// The newest position, if there is an entry.
    pub head: Option<Position>,
    /// The newest message, if there is one to be seen.
    pub last_message: Option<Entry>,
    /// The user's own mark; 0: nothing yet.
    pub delivered: Position,
    /// The user's own mark; 0: nothing yet.
    pub seen: Position,
    /// Messages of others after `seen`.
    pub unread: Unread,
}

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Between two users, for ever.
    Direct,
    /// Of members that change.
    Group,
}

/// How many messages are unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Unread {
    /// So many.
    pub count: u64,
    /// There may be more.
    pub more: bool,
}

/// Who is in a conversation.
#[derive(Debug, Clone, Deserialize)]
pub struct Members {
    /// The version of the membership.
    pub epoch: u64,
    /// Between two users, or a group.
    pub kind: ConversationKind,
    /// A group's title.
    pub title: Option<String>,
    /// Where the history of those who are added later starts.
    pub history: Option<HistoryStart>,
    /// Everybody.
    pub members: Vec<Member>,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
}

/// Whether somebody is connected.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Presence {
    /// The user.
    pub user: UserId,
    /// Connected now.
    pub online: bool,
    /// Milliseconds since 1970, if it is remembered.
    pub last_seen_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PresenceReply {
    pub(crate) presence: Vec<Presence>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Receipts {
    pub(crate) receipts: Vec<Receipt>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Users {
    pub(crate) users: Vec<UserId>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Opened {
    pub(crate) conversation: ConversationId,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Created {
    pub(crate) conversation: ConversationId,
}
