//! The durable log, conversations, members and receipts.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{
    ConversationId, ConversationKind, Entry, EntryId, Epoch, Marks, Member, Members, MembersDelta,
    Position, UserId,
};

/// A stretch of a log, without its end point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// What comes next after a position.
    After(Position),
    /// What came just before a position.
    Before(Position),
}

impl Range {
    /// From the log's beginning.
    pub const OLDEST: Self = Self::After(Position(0));
    /// From the log's end.
    pub const NEWEST: Self = Self::Before(Position(i64::MAX as u64));

    /// Whether a position lies in the range.
    #[must_use]
    pub fn contains(self, position: Position) -> bool {
        match self {
            Self::After(point) => position > point,
            Self::Before(point) => position < point,
        }
    }

    /// Cuts ascending entries to the `limit` nearest to the end point.
    pub fn cut<T>(self, entries: &mut Vec<T>, limit: usize) {
        if entries.len() > limit {
            match self {
                Self::After(_) => entries.truncate(limit),
                Self::Before(_) => drop(entries.drain(..entries.len() - limit)),
            }
        }
    }
}

/// What became of an inserted entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored now.
    New,
    /// It was stored before, at this position.
    Repeat,
    /// The id is stored at another position, which stands. Nothing was stored.
    Duplicate {
        /// Where the id is.
        stands: Position,
    },
    /// The position holds an entry with another id. Nothing was stored.
    Taken,
}

/// What became of a relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relocated {
    /// The entry stands at the new position.
    Stands {
        /// Where it stood before, if it was stored.
        left: Option<Position>,
    },
    /// It stands further on. Nothing was moved.
    Beyond {
        /// Where the id is.
        stands: Position,
    },
    /// The new position holds an entry with another id. Nothing was moved.
    Taken,
}

/// What became of a membership change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is in force now.
    Committed,
    /// It was applied before.
    Repeat,
    /// The conversation is not at the change's base. Nothing was applied.
    Conflict {
        /// The epoch that it is at.
        epoch: Epoch,
    },
}

/// The newest entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its position.
    pub position: Position,
    /// The newest message, for previews.
    pub last_message: Option<Arc<Entry>>,
}

impl Head {
    /// The newer of both, part by part.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let last_message = match (self.last_message, other.last_message) {
            (Some(a), Some(b)) => Some(if a.position >= b.position { a } else { b }),
            (a, b) => a.or(b),
        };
        Self {
            position: self.position.max(other.position),
            last_message,
        }
    }
}

/// One conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The conversation.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// The version of its membership.
    pub epoch: Epoch,
    /// The group's title.
    pub title: String,
    /// The other user of a direct conversation.
    pub peer: Option<UserId>,
    /// The user's place in it.
    pub member: Member,
    /// How far the user has come.
    pub marks: Marks,
    /// The head, as the writer last wrote it.
    pub head: Option<Head>,
}

/// Marks to move forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkUpdate {
    /// The conversation.
    pub conversation: ConversationId,
    /// The member.
    pub user: UserId,
    /// How far; a mark that is further already stays.
    pub marks: Marks,
}

/// The durable log, conversations, members and receipts.
///
/// # Contract
/// To be correct,
/// - what a call returned `Ok` for survives the death of any single store process;
/// - two things are unique: (conversation, position) and (conversation, entry id).
///   [`insert`](Self::insert) treats each entry by itself: one that is refused does not keep the
///   others from being stored;
/// - a page has no hole: it is the `limit` stored entries nearest to the range's end point;
/// - [`commit_members`](Self::commit_members) applies a change completely or not at all, exactly
///   when the conversation is at the change's base, and recognises at least the last 64 applied
///   epochs of a conversation as [`Commit::Repeat`]. The change's entry is kept in the same step:
///   [`unlogged`](Self::unlogged) returns it until its id is stored in the log. So a change that
///   is in force comes into the log even if cache and broker have lost it;
/// - marks and heads only move forward, also those of a member who was taken out and comes back;
/// - a read that starts after a write returned sees it.
///
/// # Errors
/// `Unavailable` when the store does not answer in time; `LimitReached` from
/// [`block`](Self::block) at
/// [`MAX_BLOCKS_PER_USER`](crate::model::limits::MAX_BLOCKS_PER_USER); `Busy` from
/// [`commit_members`](Self::commit_members) at
/// [`MAX_UNLOGGED_CHANGES`](crate::model::limits::MAX_UNLOGGED_CHANGES).
///
/// # Cancellation
/// A dropped write may have taken effect, in part where it is a batch. Repeating it is safe.
///
/// # Ordering
/// None between concurrent calls.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Stores entries, each by itself; the answers are in the entries' order.
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>>;

    /// Moves an entry on to this position from wherever it is stored before it, or stores it there.
    /// Readers see it at one of the two positions, for a moment perhaps at neither, never at both.
    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated>;

    /// The stored entries of a range: at most `limit`, the nearest to the end point, ascending.
    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>>;

    /// One entry by its id.
    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>>;

    /// Makes a direct conversation known. If it is, nothing happens.
    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()>;

    /// A conversation with its members; `None` if there is no such conversation.
    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>>;

    /// Applies a membership change, and keeps its entry until the log has it. Base 0 makes the
    /// conversation.
    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit>;

    /// The entries of applied changes that the log lacks, in the order of the changes.
    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>>;

    /// The conversations of a user, at most
    /// [`MAX_CONVERSATIONS_PER_USER`](crate::model::limits::MAX_CONVERSATIONS_PER_USER).
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>>;

    /// Moves marks forward. Those of users who are no members are not shown; whether they are when such a user
    /// becomes one is the store's choice.
    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()>;

    /// The marks of a conversation's members, by user.
    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>>;

    /// Moves heads forward. Those of unknown conversations are not shown; whether they are when such a
    /// conversation is made is the store's choice.
    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()>;

    /// `user` blocks `other`. Again: nothing happens.
    async fn block(&self, user: UserId, other: UserId) -> Result<()>;

    /// `user` blocks `other` no longer.
    async fn unblock(&self, user: UserId, other: UserId) -> Result<()>;

    /// Whom a user blocks, in the order of ids.
    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>>;

    /// Whether either of two users blocks the other.
    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool>;
}
