//! Darda on real servers: RabbitMQ, Redis and a MongoDB-protocol database.

mod flood;
pub(super) mod history;
pub(super) mod hop;
pub(super) mod ports;
pub(super) mod pressure;
pub(super) mod sends;
pub(super) mod storm;
