//! The clock of every log, the memory of repeats, and the recent window.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::store::{Head, Range};
use crate::error::Result;
use crate::model::{Body, ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};

/// Under which condition an entry is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// By a member, whose membership was checked at this epoch.
    Checked {
        /// The epoch of the copy that was checked.
        epoch: Epoch,
        /// Whether the copy was loaded from the store for this very append, so that it may teach a
        /// log its epoch that has forgotten it.
        fresh: bool,
    },
    /// By the writer, which moves an entry that lost its position: no check. The entry keeps this
    /// epoch.
    Relocated {
        /// The entry's epoch.
        epoch: Epoch,
    },
}

/// An entry that wants a position.
#[derive(Debug, Clone)]
pub struct Append {
    /// The conversation.
    pub conversation: ConversationId,
    /// The entry's id.
    pub id: EntryId,
    /// Who sends it.
    pub sender: UserId,
    /// What the sender's device calls it.
    pub client_id: ClientId,
    /// What it says.
    pub body: Body,
    /// The condition.
    pub admission: Admission,
}

/// What became of an append.
#[derive(Debug, Clone)]
pub enum Appended {
    /// It has a position, and is in the window and the outbox.
    New(Arc<Entry>),
    /// The id was appended before.
    Repeat {
        /// The position it got then.
        position: Position,
        /// The entry, if it is still in the outbox: it may not have been handed over yet.
        pending: Option<Arc<Entry>>,
    },
    /// The membership changed after the epoch that was checked, or the log has forgotten its epoch
    /// and the copy was not fresh. Nothing was appended: load the members from the store, check
    /// again, repeat.
    StaleEpoch,
}

/// What became of an entry in the outbox after it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was in the outbox and is not any longer.
    Cleared,
    /// It was cleared before.
    Known,
    /// The cache has lost memory since the entry was appended and before it was stored, so that
    /// somebody may have read the log without it: the entry must move to a new position.
    Lost,
}

/// Entries that the cache holds of a log.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// By position, ascending.
    pub entries: Vec<Arc<Entry>>,
    /// The newest position that stands, if the cache knows it.
    pub head: Option<Position>,
    /// The newest position given in this incarnation, whether it stands or was withdrawn: what is
    /// beyond it was appended after this reading.
    pub last: Option<Position>,
    /// The log's epoch, if the cache knows it in this incarnation.
    pub epoch: Option<Epoch>,
}

/// Gives positions, remembers repeats, holds the recent window and what is not yet stored.
///
/// Per conversation it keeps: the last position; the epoch; the *window*, the newest entries, at
/// least 200 of them where there are so many; the *outbox*, every entry appended and not yet
/// settled; and the ids of the last 24 hours or 10,000 appends, whichever is less.
///
/// An *incarnation* is a stretch of the cache's life in which it has certainly lost nothing. It
/// ends with a restart and with a promotion of a copy. Every entry carries the one that it was
/// appended in.
///
/// # Contract
/// To be correct,
/// - [`append`](Self::append) is one atomic step per conversation: repeat, epoch, position, window
///   and outbox together;
/// - positions are `max(last + 1, now in microseconds)` by one clock per log, and the first one of a
///   log in an incarnation lies at least one second past that clock, so that a copy's clock that is
///   a little behind does not give a position a second time;
/// - `prev` is the position appended just before, and `None` for the first append to a log in an
///   incarnation;
/// - an append is refused as [`Appended::StaleEpoch`] when the log's epoch is newer than the one
///   checked, or when the log has no epoch in this incarnation and the copy is not fresh; a fresh
///   copy teaches the log its epoch; a membership change sets it to its own position;
/// - [`recent`](Self::recent) returns what the window and the outbox hold in the range, without
///   exception up to the limit: the nearest ones to the range's end point;
/// - a head is known only where an entry of this incarnation stands: an older one need not be the
///   log's newest;
/// - [`settle`](Self::settle) answers [`Settled::Lost`] exactly when the log's incarnation is not the
///   entry's, and the entry either is in the outbox at this position, or its id is not remembered at
///   this position. It is then [withdrawn](Self::withdraw), so that it can be appended anew;
/// - [`withdraw`](Self::withdraw) of a membership change that set the log's epoch makes the log forget
///   its epoch;
/// - the outbox is bounded per shard; at the bound `append` fails with
///   [`ErrorKind::Busy`](crate::ErrorKind::Busy) and `retry_after`. [`Admission::Relocated`] passes.
///
/// # Errors
/// `Unavailable` when the cache does not answer; `Busy` when the outbox is full.
///
/// # Cancellation
/// A dropped `append` may have taken effect: repeating it gives [`Appended::Repeat`].
///
/// # Ordering
/// By position within a conversation; none between conversations.
#[async_trait]
pub trait Cache: Debug + Send + Sync + 'static {
    /// Gives an entry its position.
    async fn append(&self, append: Append) -> Result<Appended>;

    /// Raises a log's epoch; a lower one than it has changes nothing.
    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()>;

    /// The epochs of logs, in the order asked; `None` where a log has none in this incarnation.
    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>>;

    /// The entries of the window and the outbox in a range: at most `limit`, the nearest to the
    /// range's end point, ascending.
    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent>;

    /// One entry, if the window or the outbox holds it.
    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>>;

    /// The membership changes in a conversation's outbox, by position.
    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>>;

    /// The heads of logs, in the order asked; `None` where the cache knows none.
    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>>;

    /// Which of these entries, that wait to be stored, are [`Settled::Lost`]: a writer that knows it
    /// stores them where they will stand. Those are [withdrawn](Self::withdraw); of the others nothing
    /// changes.
    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>>;

    /// Takes stored entries out of the outbox, and says for each what it found.
    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>>;

    /// Takes an entry that does not stand at this position out of window, outbox and memory of
    /// repeats. Unknown: nothing happens.
    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()>;

    /// Entries that have been in the outbox for longer than `age`, oldest first. Each is claimed:
    /// it is not returned again before `age` has passed once more, twice the second time, and so on
    /// up to 32 times.
    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>>;

    /// Entries in the outbox, of all conversations, roughly.
    async fn outbox_len(&self) -> Result<u64>;
}
