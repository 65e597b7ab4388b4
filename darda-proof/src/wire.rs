//! Frames of `darda.v1`, written from `docs/protocol.md` alone: nothing of the server's code is here.

use std::borrow::Cow;
use std::time::Duration;

use darda_core::model::{
    ClientId, ConversationId, EntryId, Epoch, HistoryStart, MemberChange, Position, Role, UserId,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The subprotocol that a client offers.
pub(crate) const SUBPROTOCOL: &str = "darda.v1";

/// A frame of the server: an event, or the reply to a command.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(borrow)]
    pub(crate) event: Option<Cow<'a, str>>,
    pub(crate) id: Option<u64>,
    #[serde(borrow)]
    pub(crate) ok: Option<&'a RawValue>,
    pub(crate) error: Option<Failure>,
}

/// Why a command was not done.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Failure {
    /// How long to wait before the same command can succeed; `None`: it will not.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// The code as the checkers call it: `not_found` is `NotFound`.
    pub(crate) fn kind(&self) -> String {
        let capital = |word: &str| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            first.to_uppercase() + rest
        };
        self.code.split('_').map(capital).collect()
    }
}

/// What came by itself.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    Hello {
        node: String,
        heartbeat_ms: u64,
    },
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
    #[serde(other)]
    Unknown,
}

/// An element of a log.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    pub(crate) conversation: ConversationId,
    pub(crate) position: Position,
    pub(crate) prev: Option<Position>,
    pub(crate) epoch: Epoch,
    pub(crate) entry: EntryId,
    pub(crate) sender: UserId,
    pub(crate) client_id: ClientId,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) text: Option<String>,
    pub(crate) target: Option<EntryId>,
    pub(crate) change: Option<Change>,
}

/// A change of members, as the log tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Create {
        title: String,
        members: Vec<UserId>,
        history: Start,
    },
    Rename {
        title: String,
    },
    Add {
        users: Vec<UserId>,
    },
    Remove {
        user: UserId,
    },
    Leave,
    Role {
        user: UserId,
        role: Rank,
    },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    Beginning,
    Joining,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rank {
    Member,
    Admin,
    Owner,
}

impl From<Rank> for Role {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Member => Self::Member,
            Rank::Admin => Self::Admin,
            Rank::Owner => Self::Owner,
        }
    }
}

impl From<Start> for HistoryStart {
    fn from(start: Start) -> Self {
        match start {
            Start::Beginning => Self::Beginning,
            Start::Joining => Self::Joining,
        }
    }
}

impl From<Change> for MemberChange {
    fn from(change: Change) -> Self {
        match change {
            Change::Create {
                title,
                members,
                history,
            } => Self::Create {
                title,
                members,
                history: history.into(),
            },
            Change::Rename { title } => Self::Rename { title },
            Change::Add { users } => Self::Add { users },
            Change::Remove { user } => Self::Remove { user },
            Change::Leave => Self::Leave,
            Change::Role { user, role } => Self::Role {
                user,
                role: role.into(),
            },
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) user: UserId,
    pub(crate) delivered: Position,
    pub(crate) seen: Position,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) conversation: ConversationId,
    pub(crate) position: Position,
}

/// The reply to an append.
#[derive(Debug, Deserialize)]
pub(crate) struct Acked {
    pub(crate) entry: EntryId,
    pub(crate) position: Position,
    pub(crate) prev: Option<Position>,
    pub(crate) repeat: bool,
}

/// The reply to `attach`.
#[derive(Debug, Deserialize)]
pub(crate) struct Attached {
    pub(crate) entries: Vec<Entry>,
    pub(crate) gap: Option<Gap>,
    #[serde(default)]
    pub(crate) stale: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Gap {
    pub(crate) after: Position,
    pub(crate) before: Option<Position>,
}

/// The reply to `resume`.
#[derive(Debug, Deserialize)]
pub(crate) struct Resumed {
    pub(crate) conversations: Vec<ResumedOne>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ResumedOne {
    pub(crate) conversation: ConversationId,
    pub(crate) error: Option<Failure>,
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
    pub(crate) gap: Option<Gap>,
    #[serde(default)]
    pub(crate) stale: bool,
}

/// The reply to `history`.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) more: bool,
    #[serde(default)]
    pub(crate) stale: bool,
}

/// The reply to `conversations`.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) conversations: Vec<Summary>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) conversation: ConversationId,
    pub(crate) head: Option<Position>,
}

/// The reply to `receipts`.
#[derive(Debug, Deserialize)]
pub(crate) struct Receipts {
    pub(crate) receipts: Vec<Receipt>,
}

/// The reply to `members`.
#[derive(Debug, Deserialize)]
pub(crate) struct MembersReply {
    pub(crate) members: Vec<MemberReply>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MemberReply {
    pub(crate) user: UserId,
}

/// The reply to `open_direct`.
#[derive(Debug, Deserialize)]
pub(crate) struct Opened {
    pub(crate) conversation: ConversationId,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of the protocol's page, by the language of their block.
    fn documented() -> Vec<String> {
        let page = include_str!("../../docs/protocol.md");
        let mut inside = false;
        let mut frames = Vec::new();
        for line in page.lines() {
            if line.starts_with("```") {
                inside = line == "```json";
            } else if inside {
                frames.push(line.to_owned());
            }
        }
        frames
    }

    #[test]
    fn every_documented_event_is_understood() {
        let frames = documented();
        let events = frames.iter().filter(|line| line.starts_with("{\"event\""));
        let mut count = 0;
        for line in events {
            let event: Event = serde_json::from_str(line).unwrap();
            assert!(!matches!(event, Event::Unknown), "{line}");
            count += 1;
        }
        assert!(count > 10, "{count}");
    }

    #[test]
    fn every_documented_reply_is_a_frame_of_either_kind() {
        let mut count = 0;
        for line in documented() {
            let frame: Frame<'_> = serde_json::from_str(&line).unwrap();
            if !line.contains("\"cmd\"") && frame.event.is_none() {
                assert!(frame.ok.is_some() != frame.error.is_some(), "{line}");
                count += 1;
            }
        }
        assert!(count > 10, "{count}");
    }

    #[test]
    fn codes_are_called_as_the_checkers_call_them() {
        let failure = Failure {
            code: "not_found".into(),
            message: String::new(),
            retry_after_ms: None,
        };
        assert_eq!(failure.kind(), "NotFound");
    }
}
