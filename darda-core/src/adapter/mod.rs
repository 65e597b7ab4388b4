//! What the adapters of real servers share (feature `adapter`): the bytes of entries and live
//! events, how a connection is encrypted, and addresses that may be logged.

mod codec;
mod redacted;
mod tls;

pub use codec::{decode_entry, decode_live_event, encode_entry, encode_live_event};
pub use redacted::Redacted;
pub use tls::{Identity, Tls};
