//! Live events: what nodes tell each other and what a session's stream yields.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{ConversationId, Entry, EntryId, Epoch, Marks, Position, SessionId, UserId};

/// Something that happens, shared by all who are told. Cloning costs one reference count.
///
/// It has room for one encoding, made at most once in a process however many sessions send it: a
/// server's frame, say. A [`Broker`](super::Broker) carries the encoding along where there is one,
/// so that the other nodes pass the bytes through.
#[derive(Clone)]
pub struct Event(Arc<Shared>);

struct Shared {
    body: EventBody,
    encoded: OnceLock<Bytes>,
}

impl Event {
    /// An event that is not encoded yet.
    #[must_use]
    pub fn new(body: EventBody) -> Self {
        Self(Arc::new(Shared {
            body,
            encoded: OnceLock::new(),
        }))
    }

    /// An event with the encoding that its origin made.
    #[must_use]
    pub fn with_encoding(body: EventBody, encoded: Bytes) -> Self {
        Self(Arc::new(Shared {
            body,
            encoded: OnceLock::from(encoded),
        }))
    }

    /// What happened.
    #[must_use]
    pub fn body(&self) -> &EventBody {
        &self.0.body
    }

    /// The encoding, made by `encode` if there is none yet. All callers must pass the same function.
    pub fn encoded(&self, encode: impl FnOnce(&EventBody) -> Bytes) -> &Bytes {
        self.0.encoded.get_or_init(|| encode(&self.0.body))
    }

    /// The encoding, if it was made.
    #[must_use]
    pub fn encoding(&self) -> Option<&Bytes> {
        self.0.encoded.get()
    }
}

impl From<EventBody> for Event {
    fn from(body: EventBody) -> Self {
        Self::new(body)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.body.fmt(f)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.0.body == other.0.body
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventBody {
    /// An entry was appended. If `prev` is not the newest position that the receiver holds, there
    /// is a gap: attach with the cursor.
    Entry(Arc<Entry>),
    /// An entry does not stand where it was announced: take it out. `stands` is the position that
    /// it has instead (the entry there is announced too, or is in history), `None` if it has none.
    Withdrawn {
        /// The conversation.
        conversation: ConversationId,
        /// The entry.
        id: EntryId,
        /// Where it does not stand.
        position: Position,
        /// Where it stands instead.
        stands: Option<Position>,
    },
    /// Marks of members moved forward.
    Receipts {
        /// The conversation.
        conversation: ConversationId,
        /// Who, and how far.
        changes: Vec<ReceiptChange>,
    },
    /// Somebody types, or no longer does. Without a repeat it ends after six seconds.
    Typing {
        /// The conversation.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether typing goes on.
        active: bool,
    },
    /// The receiver is a member of this conversation from now on, or it became known only now.
    Joined {
        /// The conversation.
        conversation: ConversationId,
    },
    /// The receiver is not a member any longer. Nothing of the conversation follows.
    Left {
        /// The conversation.
        conversation: ConversationId,
    },
    /// The newest positions of the receiver's conversations: who holds less has missed something.
    /// Sent now and then.
    Heads {
        /// Conversations that have entries.
        heads: Vec<(ConversationId, Position)>,
    },
    /// The receiver was too slow, and its backlog was dropped: attach these conversations with
    /// their cursors. Events that follow are whole again.
    Gap {
        /// What was lost.
        lost: LostRange,
    },
    /// The node is about to stop: connect again, to any node, within this time.
    Draining {
        /// When to move.
        reconnect_within: Duration,
    },
}

/// What of a backlog was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LostRange {
    /// Entries of these conversations.
    Conversations(Vec<ConversationId>),
    /// Of more conversations than are worth naming: resume all.
    All,
}

/// One member's marks after they moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptChange {
    /// The member.
    pub user: UserId,
    /// The marks now.
    pub marks: Marks,
}

/// Who is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// The members of a conversation, as they are at this epoch or later.
    Members {
        /// The conversation.
        conversation: ConversationId,
        /// A node that knows only an older membership loads the new one before it hands over.
        epoch: Epoch,
    },
    /// All sessions of these users.
    Users(Vec<UserId>),
    /// The nodes themselves: the blocks between these two users have changed.
    Blocks(UserId, UserId),
}

/// An event on its way to the nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveEvent {
    /// Who is to be told.
    pub audience: Audience,
    /// The session that caused it and is not told.
    pub origin: Option<SessionId>,
    /// What to tell.
    pub event: Event,
}
