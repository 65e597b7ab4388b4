#![doc = include_str!("../README.md")]

mod backoff;
mod client;
mod connection;
mod driver;
mod error;
mod id;
mod log;
mod outbox;
mod settings;
mod status;
mod storage;
#[cfg(feature = "tls")]
mod tls;
mod updates;
pub mod wire;

pub use self::client::Client;
pub use self::connection::{Connection, Incoming};
pub use self::error::{Error, ErrorKind};
pub use self::id::{ClientId, ConversationId, EntryId, Position, UserId};
pub use self::settings::{Settings, Start, Timing, Tls};
pub use self::status::{State, Status};
pub use self::storage::{Change, FileStorage, Item, MemoryStorage, Storage, Stored};
pub use self::updates::{Sending, Update, Updates};
pub use self::wire::{Append, Body, Entry, Message};

/// What this crate's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
