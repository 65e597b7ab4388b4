//! Darda's cache and session registry on Redis 7.0 or newer: one server, Sentinel, or Cluster,
//! chosen by the URL.
//!
//! ```no_run
//! use darda_cache_redis::{RedisConfig, RedisPorts};
//!
//! # async fn example() -> darda_core::Result<()> {
//! let config = RedisConfig::new("redis://127.0.0.1:6379");
//! let ports = RedisPorts::connect(config).await?;
//! let (cache, registry) = (ports.cache(), ports.registry());
//! # Ok(())
//! # }
//! ```
//!
//! The README lists every setting, what is promised, and how it fails.

mod address;
mod cache;
mod config;
mod connection;
mod error;
mod incarnation;
mod keys;
mod link;
mod ports;
mod record;
mod registry;
mod script;
mod server;
mod sessions;

pub use cache::RedisCache;
pub use config::RedisConfig;
pub use ports::RedisPorts;
pub use registry::RedisRegistry;
