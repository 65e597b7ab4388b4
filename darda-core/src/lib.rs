//! An embeddable chat: an engine over four ports, with in-memory implementations.
//!
//! A [`Chat`] is a node: a handle that is cheap to clone. A [`Session`] is one connection of one
//! user's device: a stream of typed events and a set of async calls, with no socket in sight.
//!
//! ```
//! use darda_core::model::{ClientId, UserId};
//! use darda_core::{Chat, SendRequest};
//! use futures::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Chat::in_memory();
//! let alice = chat.connect(UserId::new("alice")?).await?;
//! let mut bob = chat.connect(UserId::new("bob")?).await?;
//! let conversation = alice.open_direct(UserId::new("bob")?).await?;
//! alice.send(SendRequest::new(conversation, ClientId::new("1")?, "hello")).await?;
//! while let Some(event) = bob.next().await {
//!     println!("{event:?}");
//! #   if matches!(event.body(), darda_core::ports::EventBody::Entry(_)) { break; }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The four [`ports`] are what the engine stands on; [`memory`] implements them for embedded use and
//! for tests.

#[cfg(feature = "adapter")]
pub mod adapter;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
pub mod memory;
pub mod model;
pub mod observe;
pub mod ports;
pub mod resilience;
#[cfg(test)]
mod samples;

pub use engine::{
    Ack, Acknowledged, Attached, CatchUp, Chat, ConversationSummary, Encoder, Mark, Options, Page,
    Pending, PortHealth, Ports, Rate, Roles, SendRequest, Session, Unread, Visit, wake_once,
};
pub use error::{Error, ErrorKind, Result};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ProjectReadme;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
