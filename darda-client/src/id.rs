//! Names on the wire: texts that the server gives and that are passed back as they are.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// As it stands on the wire. It is not looked into: the server judges it.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// As it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    )*};
}

names! {
    /// A user: 1 to 64 bytes.
    UserId;
    /// A conversation: 22 characters of base64url.
    ConversationId;
    /// An entry of a log: 22 characters of base64url.
    EntryId;
    /// A device's name for a send: 1 to 64 bytes.
    ClientId;
}

/// Characters of a drawn client id: 22 of 64 are 132 bits, so that no two are ever the same.
const DRAWN: usize = 22;

impl ClientId {
    /// A new one, drawn at random. It need not be secret, only new.
    #[must_use]
    pub fn draw() -> Self {
        let mut random = fastrand::Rng::new();
        let text: String = (0..DRAWN).map(|_| random.alphanumeric()).collect();
        Self::new(text)
    }
}

/// Where an entry stands in its log: microseconds since 1970, below 2^53. Positions only grow, and
/// they jump.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
