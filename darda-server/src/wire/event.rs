//! Events and the hello, to JSON.

use std::cell::RefCell;

use bytes::Bytes;
use darda_core::model::{ConversationId, EntryId, Position, limits};
use darda_core::ports::{EventBody, LostRange, ReceiptChange};
use serde::Serialize;

use super::MAX_FRAME_BYTES;
use super::text::{Shown, shown};
use super::view::EntryView;

thread_local! {
    /// Where an event grows: its bytes are kept at their length.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An event as a frame; whoever makes events sets it as the engine's
/// [`Encoder`](darda_core::Encoder), so that an event is encoded once for all its receivers.
#[must_use]
pub fn encode_event(body: &EventBody) -> Bytes {
    BUFFER.with_borrow_mut(|out| {
        out.clear();
        match serde_json::to_writer(&mut *out, &Frame::from(body)) {
            Ok(()) => Bytes::copy_from_slice(out),
            Err(error) => {
                tracing::error!(%error, "an event that cannot be encoded");
                Bytes::from_static(br#"{"event":"unknown"}"#)
            }
        }
    })
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Frame<'a> {
    Entry(EntryView<'a>),
    Withdrawn {
        #[serde(serialize_with = "shown")]
        conversation: ConversationId,
        #[serde(serialize_with = "shown")]
        entry: EntryId,
        position: Position,
        stands: Option<Position>,
    },
    Receipts {
        #[serde(serialize_with = "shown")]
        conversation: ConversationId,
        receipts: Vec<Receipt<'a>>,
    },
    Typing {
        #[serde(serialize_with = "shown")]
        conversation: ConversationId,
        user: &'a str,
        active: bool,
    },
    Joined {
        #[serde(serialize_with = "shown")]
        conversation: ConversationId,
    },
    Left {
        #[serde(serialize_with = "shown")]
        conversation: ConversationId,
    },
    Heads {
        heads: Vec<Head>,
    },
    Gap(Lost),
    Draining {
        reconnect_within_ms: u64,
    },
    /// Something newer than this server.
    Unknown,
}

#[derive(Serialize)]
struct Receipt<'a> {
    user: &'a str,
    delivered: Position,
    seen: Position,
}

impl<'a> From<&'a ReceiptChange> for Receipt<'a> {
    fn from(change: &'a ReceiptChange) -> Self {
        Self {
            user: change.user.as_str(),
            delivered: change.marks.delivered,
            seen: change.marks.seen,
        }
    }
}

#[derive(Serialize)]
struct Head {
    #[serde(serialize_with = "shown")]
    conversation: ConversationId,
    position: Position,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Lost {
    Named {
        conversations: Vec<Shown<ConversationId>>,
    },
    All {
        all: bool,
    },
}

impl<'a> From<&'a EventBody> for Frame<'a> {
    fn from(body: &'a EventBody) -> Self {
        match body {
            EventBody::Entry(entry) => Self::Entry(entry.as_ref().into()),
            EventBody::Withdrawn {
                conversation,
                id,
                position,
                stands,
            } => Self::Withdrawn {
                conversation: *conversation,
                entry: *id,
                position: *position,
                stands: *stands,
            },
            EventBody::Receipts {
                conversation,
                changes,
            } => Self::Receipts {
                conversation: *conversation,
                receipts: changes.iter().map(Receipt::from).collect(),
            },
            EventBody::Typing {
                conversation,
                user,
                active,
            } => Self::Typing {
                conversation: *conversation,
                user: user.as_str(),
                active: *active,
            },
            EventBody::Joined { conversation } => Self::Joined {
                conversation: *conversation,
            },
            EventBody::Left { conversation } => Self::Left {
                conversation: *conversation,
            },
            EventBody::Heads { heads } => {
                let head = |&(conversation, position)| Head {
                    conversation,
                    position,
                };
                Self::Heads {
                    heads: heads.iter().map(head).collect(),
                }
            }
            EventBody::Gap {
                lost: LostRange::All,
            } => Self::Gap(Lost::All { all: true }),
            EventBody::Gap {
                lost: LostRange::Conversations(conversations),
            } => {
                let conversations = conversations.iter().copied().map(Shown).collect();
                Self::Gap(Lost::Named { conversations })
            }
            EventBody::Draining { reconnect_within } => Self::Draining {
                reconnect_within_ms: u64::try_from(reconnect_within.as_millis())
                    .unwrap_or(u64::MAX),
            },
            _ => Self::Unknown,
        }
    }
}

/// The first frame of a connection.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename = "hello")]
pub struct Hello<'a> {
    /// Who the server takes the client for.
    pub user: &'a str,
    /// The session's name: its node and number.
    pub session: &'a str,
    /// The node that holds the connection.
    pub node: &'a str,
    /// How often the server pings, and how long a client may wait for any frame before it pings.
    pub heartbeat_ms: u64,
    /// What a client should know before it sends.
    pub limits: HelloLimits,
}

/// The limits that a client can keep by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HelloLimits {
    /// Of a command, in bytes.
    pub max_frame_bytes: usize,
    /// Of a message's text, in bytes of UTF-8.
    pub max_text_bytes: usize,
    /// Entries of one page of history.
    pub max_page: usize,
}

impl Default for HelloLimits {
    fn default() -> Self {
        Self {
            max_frame_bytes: MAX_FRAME_BYTES,
            max_text_bytes: limits::MAX_TEXT_BYTES,
            max_page: limits::MAX_PAGE,
        }
    }
}
