//! Identifiers. Those of entries and conversations are derived, not drawn, so that a repeat of the
//! same request names the same thing on every node.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::limits::{MAX_CLIENT_ID_BYTES, MAX_USER_ID_BYTES};

/// Why a text is not the identifier that it was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than its limit, in bytes.
    #[error("must not be longer than {0} bytes")]
    TooLong(usize),
    /// The text holds a control character.
    #[error("must not hold control characters")]
    Control,
    /// Not 22 characters of unpadded base64url, the form of a 16-byte id.
    #[error("must be 22 characters of base64url")]
    NotBase64,
}

fn checked_text(text: &str, limit: usize) -> Result<Arc<str>, InvalidId> {
    if text.is_empty() {
        Err(InvalidId::Empty)
    } else if text.len() > limit {
        Err(InvalidId::TooLong(limit))
    } else if text.chars().any(char::is_control) {
        Err(InvalidId::Control)
    } else {
        Ok(text.into())
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text and takes it over.
            ///
            /// # Errors
            /// [`InvalidId`] if it is empty, too long, or holds control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                checked_text(text.as_ref(), $limit).map(Self)
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_id! {
    /// A user, by the name the app's authentication gives: 1 to 64 bytes, no control characters.
    UserId, MAX_USER_ID_BYTES
}
text_id! {
    /// What the sender's device calls a send: 1 to 64 bytes, no control characters.
    ClientId, MAX_CLIENT_ID_BYTES
}

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 22];
                match URL_SAFE_NO_PAD.encode_slice(self.0, &mut text) {
                    Ok(_) => f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?),
                    Err(_) => Err(fmt::Error),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; 16];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
                    Ok(16) => Ok(Self(bytes)),
                    _ => Err(InvalidId::NotBase64),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

derived_id! {
    /// A conversation: 16 bytes, written as 22 characters of base64url.
    ///
    /// A direct conversation's id is derived from its two users, a group's from its creator and the
    /// client id of its creation.
    ConversationId
}
derived_id! {
    /// An entry: 16 bytes derived from (conversation, sender, client id), written as 22 characters
    /// of base64url. The same send has the same id on every node, for ever.
    EntryId
}

/// The first 16 bytes of SHA-256 over length-prefixed parts. A cryptographic hash, since a user
/// chooses the client id: a forged collision would let one user's send pass for another's repeat.
fn derive(parts: [&[u8]; 3]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id
}

impl ConversationId {
    /// The direct conversation of two users, whichever is named first.
    #[must_use]
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        Self(derive([
            b"direct",
            first.as_str().as_bytes(),
            second.as_str().as_bytes(),
        ]))
    }

    /// The group that this creator makes with this client id.
    #[must_use]
    pub fn group(creator: &UserId, client_id: &ClientId) -> Self {
        Self(derive([
            b"group",
            creator.as_str().as_bytes(),
            client_id.as_str().as_bytes(),
        ]))
    }

    /// The shard of this conversation, below [`SHARDS`](super::limits::SHARDS). Stable: stored data
    /// and queue names depend on it.
    #[must_use]
    pub fn shard(&self) -> u16 {
        u16::from(self.0[0])
    }
}

impl EntryId {
    /// The entry of this send.
    #[must_use]
    pub fn derive(conversation: ConversationId, sender: &UserId, client_id: &ClientId) -> Self {
        Self(derive([
            &conversation.0,
            sender.as_str().as_bytes(),
            client_id.as_str().as_bytes(),
        ]))
    }
}

/// One running server process. Drawn by the process at start; unique among those that share ports.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// A node with this name.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One live connection: its node and a number that the node never uses twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId {
    /// The node that holds the connection.
    pub node: NodeId,
    /// The node's own number for it.
    pub number: u64,
}

/// Where an entry stands in its log: microseconds since the Unix epoch, roughly, and strictly
/// increasing. Fits JavaScript's safe integers until the year 2255.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a conversation's membership: 0 before the first change and for every direct
/// conversation, else the position at which the newest change was first appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn a_direct_conversation_has_one_id_whoever_opens_it() {
        let (a, b) = (user("alice"), user("bob"));
        assert_eq!(
            ConversationId::direct(&a, &b),
            ConversationId::direct(&b, &a)
        );
        assert_ne!(
            ConversationId::direct(&a, &b),
            ConversationId::direct(&a, &user("bo"))
        );
    }

    #[test]
    fn parts_of_an_id_do_not_run_into_each_other() {
        let (a, bc) = (user("a"), user("bc"));
        let (ab, c) = (user("ab"), user("c"));
        assert_ne!(
            ConversationId::direct(&a, &bc),
            ConversationId::direct(&ab, &c)
        );
    }

    #[test]
    fn derived_ids_are_stable_across_releases() {
        let id = ConversationId::direct(&user("alice"), &user("bob"));
        assert_eq!(id.to_string(), "bYTbgWwmaogeD56llN3YTg");
        let entry = EntryId::derive(id, &user("alice"), &ClientId::new("1").unwrap());
        assert_eq!(entry.to_string(), "HgSQLV3DHKbLjx8NRwnpww");
    }

    #[test]
    fn user_ids_are_bounded() {
        assert_eq!(UserId::new(""), Err(InvalidId::Empty));
        assert_eq!(UserId::new("x".repeat(65)), Err(InvalidId::TooLong(64)));
        assert_eq!(UserId::new("a\nb"), Err(InvalidId::Control));
        assert!(UserId::new("x".repeat(64)).is_ok());
    }

    proptest! {
        #[test]
        fn every_derived_id_reads_back_from_its_text(bytes: [u8; 16]) {
            let id = EntryId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_other_text_is_an_id(text in ".{0,40}") {
            if let Ok(id) = text.parse::<EntryId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
