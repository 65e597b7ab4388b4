//! Darda's broker on RabbitMQ 3.10 or newer.
//!
//! ```no_run
//! use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
//!
//! # async fn example() -> darda_core::Result<()> {
//! let config = RabbitConfig::new("amqp://guest:guest@127.0.0.1:5672/%2f");
//! let broker = RabbitBroker::connect(config).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The README lists every setting, what is promised, and how it fails.

mod broker;
mod config;
mod connection;
mod consuming;
mod encryption;
mod error;
mod held;
mod link;
mod live;
mod packing;
mod topology;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use broker::RabbitBroker;
pub use config::RabbitConfig;
