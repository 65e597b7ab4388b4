//! Connections of the bare programs.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties};
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;

use crate::Result;

/// Longer than anything may take: what is slow is to be measured, not cut off.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What a bare program runs on: as many threads as a server of ours has.
pub(crate) fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.enable_all().build()?)
}

pub(crate) async fn rabbit(url: &str) -> Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

pub(crate) async fn redis(url: &str) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(url)?;
    Ok(client
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

/// Messages in a queue that nobody has been handed.
pub(crate) async fn depth(channel: &Channel, queue: ShortString) -> Result<u64> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel
        .queue_declare(queue, options, FieldTable::default())
        .await?;
    Ok(declared.message_count().into())
}
