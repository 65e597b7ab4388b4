//! What happened in a run, as plain data: what was asked, answered, delivered and shown, and what
//! the store holds at the end. Whoever can write this down, a simulation or a test against real
//! servers, can be judged by the [checkers](crate::check).

use darda_core::model::{
    Body, ClientId, ConversationId, Entry, EntryId, Epoch, Marks, MemberChange, Members, Position,
    UserId,
};
use serde::{Deserialize, Serialize};

/// Names a session within a history.
pub type SessionNo = u32;
/// Names a device within a history. A device has one user, and one session after another.
pub type DeviceNo = u32;
/// Names a call within a history.
pub type CallNo = u32;

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What the run's parts may have done to it.
    pub conditions: Conditions,
    /// What happened, in the order of time.
    pub records: Vec<Record>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What may have happened to the parts. A checker is strict where a condition is false.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The cache has lost memory, or was replaced by a copy that lagged: entries may move.
    pub cache_forgot: bool,
    /// Live events may have come late, twice or out of order.
    pub live_shuffled: bool,
    /// A node ended without a goodbye: marks that it gathered may be lost.
    pub node_killed: bool,
    /// A port refused, or could not be reached.
    pub port_refused: bool,
    /// How long a call may take, in microseconds; 0: not judged.
    pub patience_us: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, in microseconds since the run began.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A device has a session.
    Connected {
        /// The session.
        session: SessionNo,
        /// Whose.
        device: DeviceNo,
        /// Whose.
        user: UserId,
        /// Where.
        node: String,
    },
    /// A session ended.
    Closed {
        /// The session.
        session: SessionNo,
    },
    /// A call began.
    Asked {
        /// The call.
        call: CallNo,
        /// Whose.
        session: SessionNo,
        /// Which.
        request: Request,
    },
    /// A call ended.
    Answered {
        /// The call.
        call: CallNo,
        /// How.
        reply: Reply,
    },
    /// An entry reached a session.
    Got {
        /// The session.
        session: SessionNo,
        /// The entry.
        entry: Seen,
        /// How it came.
        via: Via,
    },
    /// A session was told that an entry does not stand where it was.
    Withdrawn {
        /// The session.
        session: SessionNo,
        /// The conversation.
        conversation: ConversationId,
        /// The entry.
        id: EntryId,
        /// Where it does not stand.
        position: Position,
    },
    /// A device believes that it has all entries after `from` up to `to`.
    Moved {
        /// The session that the belief is based on.
        session: SessionNo,
        /// The conversation.
        conversation: ConversationId,
        /// Up to here it had all before.
        from: Position,
        /// Up to here it has all now.
        to: Position,
    },
    /// A device dropped what it held of a conversation.
    Forgot {
        /// The device.
        device: DeviceNo,
        /// The conversation.
        conversation: ConversationId,
    },
    /// A session learnt marks.
    Marked {
        /// The session.
        session: SessionNo,
        /// The conversation.
        conversation: ConversationId,
        /// Whose marks.
        user: UserId,
        /// The marks.
        marks: Marks,
        /// Whether it asked for them, rather than being told.
        asked: bool,
    },
    /// A session was told that somebody types.
    Typing {
        /// The session.
        session: SessionNo,
        /// The conversation.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// A session was told to look after something itself.
    Told {
        /// The session.
        session: SessionNo,
        /// What about.
        notice: Notice,
    },
    /// Faults have been over for long, the session lived on through it: how far it has come.
    Rested {
        /// The session.
        session: SessionNo,
        /// Each conversation's cursor.
        cursors: Vec<(ConversationId, Position)>,
    },
    /// The code under test panicked.
    Panicked {
        /// Where, and what it said.
        message: String,
    },
    /// The size of something that is bounded.
    Sample {
        /// What.
        name: String,
        /// Its size.
        value: u64,
        /// Its bound.
        limit: u64,
    },
}

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// An entry is to be appended.
    Send {
        /// The conversation.
        conversation: ConversationId,
        /// The device's name for it.
        client_id: ClientId,
        /// The entry's id.
        id: EntryId,
        /// Whether it says that it may have been sent before.
        resend: bool,
        /// The membership change that it is, if it is one.
        change: Option<MemberChange>,
    },
    /// Marks are to move.
    Mark {
        /// The conversation.
        conversation: ConversationId,
        /// How far.
        marks: Marks,
    },
    /// Somebody types.
    Typing {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Something of a conversation is to be read.
    Read {
        /// The conversation.
        conversation: ConversationId,
        /// What: `attach`, `history`, `members`, `receipts`, `presence`.
        what: String,
    },
    /// Anything else.
    Other {
        /// What.
        what: String,
    },
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A send is kept.
    Acked {
        /// Where.
        position: Position,
        /// The position before.
        prev: Option<Position>,
        /// Whether it was there before.
        repeat: bool,
    },
    /// Done.
    Done,
    /// Refused or failed.
    Failed {
        /// The error's kind.
        kind: String,
        /// Whether a repeat can succeed.
        transient: bool,
    },
    /// The client went away and did not wait for the end.
    Abandoned,
    /// The client waited for longer than anybody would.
    Hung,
}

/// An entry as a session saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The conversation.
    pub conversation: ConversationId,
    /// The entry.
    pub id: EntryId,
    /// Where it stands.
    pub position: Position,
    /// The position before.
    pub prev: Option<Position>,
    /// The membership that it was appended under; `None` where the way it came does not say.
    pub epoch: Option<Epoch>,
}

impl From<&Entry> for Seen {
    fn from(entry: &Entry) -> Self {
        Self {
            conversation: entry.conversation,
            id: entry.id,
            position: entry.position,
            prev: entry.prev,
            epoch: Some(entry.epoch),
        }
    }
}

/// How an entry came to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// Live.
    Event,
    /// As the acknowledgement of its own send.
    Ack,
    /// By attaching or resuming.
    Attach,
    /// In a page of history, to fill a gap.
    History,
    /// In a page of history that was looked at and not kept.
    Glance,
}

/// What a session was told about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Its backlog was dropped.
    Gap,
    /// The heads of its logs.
    Heads,
    /// It is a member now.
    Joined(ConversationId),
    /// It is no member any longer.
    Left(ConversationId),
    /// Its node is about to stop.
    Draining,
}

/// The end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the store holds.
    pub logs: Vec<Log>,
    /// What the devices show after they caught up by their cursors.
    pub views: Vec<Shown>,
    /// What the users read who hold nothing: the whole history from its beginning.
    pub reads: Vec<Shown>,
}

/// A conversation in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// The conversation.
    pub conversation: ConversationId,
    /// All of its entries, by position.
    pub entries: Vec<Entry>,
    /// Its members, if it has come to be.
    pub members: Option<Members>,
    /// Their marks.
    pub marks: Vec<(UserId, Marks)>,
}

impl Log {
    /// The entries that a user may see now.
    pub fn visible_to<'a>(&'a self, user: &UserId) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let from = self.members.as_ref().and_then(|members| members.get(user));
        let from = from.map(|member| member.visible_from);
        self.entries
            .iter()
            .filter(move |entry| from.is_some_and(|from| entry.position >= from))
    }

    /// The membership changes that are in force, by epoch.
    pub fn changes(&self) -> impl Iterator<Item = (&Entry, Epoch, &MemberChange)> {
        self.entries.iter().filter_map(|entry| match &entry.body {
            Body::Members { base, change } => Some((entry, *base, change)),
            _ => None,
        })
    }
}

/// What is shown of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// To whom.
    pub user: UserId,
    /// On which device.
    pub device: DeviceNo,
    /// The conversation.
    pub conversation: ConversationId,
    /// The entries, by position.
    pub entries: Vec<(Position, EntryId)>,
}
