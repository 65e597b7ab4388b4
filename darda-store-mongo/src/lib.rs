#![doc = include_str!("../README.md")]

mod batch;
mod blocks;
mod config;
mod connection;
mod conversations;
mod documents;
mod error;
mod heads;
mod indexes;
mod log;
mod marks;
mod readiness;
mod store;
mod tls;

pub use config::MongoConfig;
pub use store::MongoStore;
