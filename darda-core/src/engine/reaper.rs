//! Hands over again what stays in the outbox too long: its node died before the broker had it, or
//! the broker was away.

use std::sync::Arc;

use super::node::Node;
use crate::error::Result;

/// Entries handed over again in one go.
const MAX_BATCH: usize = 500;
/// A backlog from which on the writer is behind: what is in the outbox is then in the broker too.
const BUSY_BACKLOG: u64 = 1000;

pub(crate) async fn run(node: Arc<Node>) {
    let every = node.options.reap_after / 2;
    while node.pause(every).await {
        loop {
            match node.bounded(reap(&node)).await {
                Ok(count) if count == MAX_BATCH && !node.stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, "nothing reaped");
                    break;
                }
            }
        }
    }
}

async fn reap(node: &Arc<Node>) -> Result<usize> {
    node.instruments
        .outbox
        .set(node.ports.cache.outbox_len().await? as f64);
    let backlog = node.ports.broker.backlog().await?;
    node.instruments.backlog.set(backlog as f64);
    if backlog > BUSY_BACKLOG {
        return Ok(0);
    }
    let overdue = node
        .ports
        .cache
        .claim_overdue(node.options.reap_after, MAX_BATCH)
        .await?;
    let count = overdue.len();
    if count > 0 {
        tracing::info!(count, "entries are handed over again");
        node.ports.broker.enqueue(overdue.clone()).await?;
        node.instruments.reaped.increment(count as u64);
        overdue.iter().for_each(|entry| node.announce(entry));
    }
    Ok(count)
}
