//! What the load needs of a protocol, so that the same load can be put on other servers.

mod centrifugo;
mod darda;
mod socketio;

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::line::Line;
use crate::Result;

/// Whom the load speaks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// `darda.v1`
    Darda,
    /// Centrifugo's JSON protocol.
    Centrifugo,
    /// Socket.IO 4, with the server of tests/peers.
    Socketio,
}

impl Protocol {
    pub(super) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Darda => &darda::Darda,
            Self::Centrifugo => &centrifugo::Centrifugo,
            Self::Socketio => &socketio::SocketIo,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Darda => "darda",
            Self::Centrifugo => "centrifugo",
            Self::Socketio => "socketio",
        }
    }
}

/// How one protocol says what a chat says.
#[async_trait]
pub(super) trait Dialect: Debug + Send + Sync {
    /// Where a user's connection is opened.
    fn address(&self, server: &str, user: &str) -> String;

    fn subprotocol(&self) -> Option<&'static str>;

    /// Does what is to be done first on a new connection.
    async fn greet(&self, line: &mut Line) -> Result<()>;

    /// Makes a conversation, on its first member's connection, and says what the server calls it.
    async fn found(&self, line: &mut Line, founding: &Founding) -> Result<Arc<str>>;

    /// Does what a member has to do to hear of its conversations.
    async fn join(&self, line: &mut Line, conversations: &[Arc<str>]) -> Result<()>;

    /// A command as a frame; the server's answer has this number.
    fn write(&self, id: u64, ask: &Ask<'_>) -> Result<String>;

    /// What one line of a frame says.
    fn read<'a>(&self, line: &'a str) -> Result<Said<'a>>;

    /// The answer to [`Said::Ping`].
    fn pong(&self) -> &'static str;

    /// Whether the sender of a message gets it too.
    fn echoes(&self) -> bool;
}

/// A conversation to be made.
#[derive(Debug)]
pub(super) struct Founding {
    /// New among all that were ever made.
    pub(super) name: String,
    /// The members without the one that makes it.
    pub(super) others: Vec<String>,
}

/// What a user says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask<'a> {
    Send {
        conversation: &'a Arc<str>,
        /// New among all that this user ever sent.
        name: &'a str,
        text: &'a str,
    },
    /// Everything up to here came, or was seen.
    Mark {
        conversation: &'a Arc<str>,
        position: u64,
        seen: bool,
    },
    Typing {
        conversation: &'a Arc<str>,
        active: bool,
    },
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A command was done.
    Done(u64),
    /// A command was not done, for a reason in one word.
    Refused(u64, Cow<'a, str>),
    Message {
        conversation: Cow<'a, str>,
        /// Where it stands, if the server knows.
        position: Option<u64>,
        text: Cow<'a, str>,
    },
    /// Others' receipts or typing.
    Attention,
    /// Something was dropped for this session.
    Gap,
    /// The server wants [`Dialect::pong`].
    Ping,
    Other,
}

/// What is relayed for peers that have no notion of what a chat says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Relayed<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<bool>,
}

impl<'a> Relayed<'a> {
    /// What is said, and where.
    fn of(ask: &Ask<'a>) -> (&'a str, Self) {
        match *ask {
            Ask::Send {
                conversation, text, ..
            } => {
                let text = Some(text.into());
                let relayed = Self {
                    text,
                    ..Self::default()
                };
                (conversation, relayed)
            }
            Ask::Mark {
                conversation,
                position,
                seen,
            } => {
                let relayed = Self {
                    delivered: (!seen).then_some(position),
                    seen: seen.then_some(position),
                    ..Self::default()
                };
                (conversation, relayed)
            }
            Ask::Typing {
                conversation,
                active,
            } => {
                let relayed = Self {
                    typing: Some(active),
                    ..Self::default()
                };
                (conversation, relayed)
            }
        }
    }

    fn said(self, conversation: Cow<'a, str>) -> Said<'a> {
        match self.text {
            Some(text) => Said::Message {
                conversation,
                position: None,
                text,
            },
            None => Said::Attention,
        }
    }
}

/// Waits for the answers to commands of these numbers.
async fn answered(dialect: &dyn Dialect, line: &mut Line, ids: std::ops::Range<u64>) -> Result<()> {
    let mut left = ids.clone().count();
    if left == 0 {
        return Ok(());
    }
    line.until(|line, text| {
        match dialect.read(text)? {
            Said::Done(id) if ids.contains(&id) => left -= 1,
            Said::Refused(id, why) if ids.contains(&id) => {
                return Err(format!("the server refused: {why}").into());
            }
            Said::Ping => drop(line.put(dialect.pong())),
            _ => {}
        }
        Ok((left == 0).then_some(()))
    })
    .await
}

fn put(line: &mut Line, frame: String) -> Result<()> {
    if line.put(frame) {
        Ok(())
    } else {
        Err("the connection ended at once".into())
    }
}
