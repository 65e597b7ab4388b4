//! Entries: the elements of a conversation's log.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::conversation::MemberChange;
use super::ids::{ClientId, ConversationId, EntryId, Epoch, Position, UserId};
use super::limits::{
    MAX_MENTIONS, MAX_METADATA_BYTES, MAX_OPAQUE_BYTES, MAX_REACTION_BYTES, MAX_TEXT_BYTES,
};
use crate::error::{Error, ErrorKind};

/// What a send says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Body {
    /// A message.
    Message(Message),
    /// New content of a message of one's own.
    Edit {
        /// The message.
        target: EntryId,
        /// What it says from now on. Its `reply_to` does not count: that of the message stands.
        message: Message,
    },
    /// The end of a message.
    Delete {
        /// The message.
        target: EntryId,
    },
    /// A reaction to a message. The same one twice by the same user counts once.
    React {
        /// The message.
        target: EntryId,
        /// Usually an emoji; at most [`MAX_REACTION_BYTES`].
        reaction: String,
    },
    /// The end of a reaction of one's own.
    Unreact {
        /// The message.
        target: EntryId,
        /// The reaction.
        reaction: String,
    },
    /// A change of members. Made by the engine, not sent as it is.
    Members {
        /// The epoch that the change was decided under.
        base: Epoch,
        /// The change.
        change: MemberChange,
    },
    /// A payload that the engine does not look into, for end-to-end encryption; at most
    /// [`MAX_OPAQUE_BYTES`].
    Opaque(Bytes),
}

/// A message's content.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// At most [`MAX_TEXT_BYTES`] of UTF-8.
    pub text: String,
    /// The message that this one answers.
    pub reply_to: Option<EntryId>,
    /// At most [`MAX_MENTIONS`] users.
    pub mentions: Vec<UserId>,
    /// The app's own data about the message, passed on as it is; at most [`MAX_METADATA_BYTES`]. A
    /// client of `darda-server` sees it as JSON.
    pub metadata: Option<String>,
}

/// Message texts stay out of logs: only sizes are shown.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("text_bytes", &self.text.len())
            .field("reply_to", &self.reply_to)
            .field("mentions", &self.mentions)
            .field("metadata_bytes", &self.metadata.as_ref().map(String::len))
            .finish()
    }
}

impl Message {
    /// A message that is this text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Makes it an answer to another message.
    #[must_use]
    pub fn with_reply_to(mut self, target: EntryId) -> Self {
        self.reply_to = Some(target);
        self
    }

    /// Mentions these users.
    #[must_use]
    pub fn with_mentions(mut self, users: impl IntoIterator<Item = UserId>) -> Self {
        self.mentions = users.into_iter().collect();
        self
    }

    /// Attaches the app's own data.
    #[must_use]
    pub fn with_metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    fn validate(&self) -> Result<(), Error> {
        within("text", self.text.len(), MAX_TEXT_BYTES)?;
        within("mentions", self.mentions.len(), MAX_MENTIONS)?;
        within(
            "metadata",
            self.metadata.as_ref().map_or(0, String::len),
            MAX_METADATA_BYTES,
        )?;
        if self.text.is_empty() && self.metadata.is_none() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a message needs a text or metadata",
            ));
        }
        Ok(())
    }

    fn weight(&self) -> usize {
        let mentions = self.mentions.iter().map(|user| user.as_str().len() + 32);
        let metadata = self.metadata.as_ref().map_or(0, String::len);
        self.text.len() + mentions.sum::<usize>() + metadata
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Message> for Body {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Message(Message::text(text))
    }
}

pub(crate) fn within(what: &str, size: usize, limit: usize) -> Result<(), Error> {
    if size <= limit {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::TooLarge,
            format!("{what}: {size} is over the limit of {limit}"),
        ))
    }
}

impl Body {
    /// Checks every limit of the body.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] or [`ErrorKind::Invalid`], naming the part.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Message(message) | Self::Edit { message, .. } => message.validate(),
            Self::React { reaction, .. } | Self::Unreact { reaction, .. } => {
                if reaction.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "a reaction must not be empty",
                    ));
                }
                within("reaction", reaction.len(), MAX_REACTION_BYTES)
            }
            Self::Delete { .. } => Ok(()),
            Self::Members { change, .. } => change.validate(),
            Self::Opaque(payload) => {
                if payload.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "a payload must not be empty",
                    ));
                }
                within("payload", payload.len(), MAX_OPAQUE_BYTES)
            }
        }
    }

    /// The message that the body refers to and acts on, if any.
    #[must_use]
    pub fn target(&self) -> Option<EntryId> {
        match self {
            Self::Edit { target, .. }
            | Self::Delete { target }
            | Self::React { target, .. }
            | Self::Unreact { target, .. } => Some(*target),
            Self::Message(_) | Self::Members { .. } | Self::Opaque(_) => None,
        }
    }

    /// What it holds, roughly, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Message(message) | Self::Edit { message, .. } => message.weight(),
            Self::Delete { .. } => 0,
            Self::React { reaction, .. } | Self::Unreact { reaction, .. } => reaction.len(),
            Self::Members { change, .. } => match change {
                MemberChange::Create {
                    title,
                    members: users,
                    ..
                } => title.len() + users.len() * 96,
                MemberChange::Rename { title } => title.len(),
                MemberChange::Add { users } => users.len() * 96,
                MemberChange::Remove { .. } | MemberChange::Leave | MemberChange::Role { .. } => 64,
            },
            Self::Opaque(payload) => payload.len(),
        }
    }

    /// Whether it is something to read: a message or an opaque payload. Only these count as unread
    /// and as a conversation's last message.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Opaque(_))
    }
}

/// An element of a conversation's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The conversation.
    pub conversation: ConversationId,
    /// Where it stands in the log.
    pub position: Position,
    /// The position of the entry before it; `None` where that is not known.
    pub prev: Option<Position>,
    /// The membership under which it was appended; of a membership change, the one that it makes.
    pub epoch: Epoch,
    /// Derived from conversation, sender and client id.
    pub id: EntryId,
    /// Who sent it.
    pub sender: UserId,
    /// What the sender's device called it.
    pub client_id: ClientId,
    /// What it says.
    pub body: Body,
    /// The cache incarnation that gave the position: see [`Cache`](crate::ports::Cache).
    pub incarnation: u64,
    /// Whether it got this position because it had lost an earlier one.
    pub relocated: bool,
}
