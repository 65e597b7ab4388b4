//! Darda on real servers: RabbitMQ, Redis and a MongoDB-protocol database.

pub(super) mod chat;
mod flood;
pub(super) mod history;
pub(super) mod hop;
pub(super) mod hot;
pub(super) mod ports;
pub(super) mod pressure;
mod readers;
pub(super) mod receipts;
pub(super) mod sends;
pub(super) mod storm;
