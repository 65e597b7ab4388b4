//! Takes ended sessions out of the registry, in batches.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::node::{Backoff, Node};
use crate::model::{SessionId, UserId};

const MAX_BATCH: usize = 1000;

pub(crate) async fn run(node: Arc<Node>, mut inbox: mpsc::Receiver<(UserId, SessionId)>) {
    let mut batch = Vec::new();
    let mut backoff = Backoff::new();
    loop {
        tokio::select! {
            biased;
            // The whole node is taken out when it stops.
            () = node.stop.cancelled() => return,
            count = inbox.recv_many(&mut batch, MAX_BATCH) => if count == 0 { return },
        }
        while let Err(error) = node
            .bounded(node.ports.registry.unregister(batch.clone()))
            .await
        {
            tracing::debug!(%error, "ended sessions stay registered for now");
            if !node.pause(backoff.next()).await {
                return;
            }
        }
        backoff.reset();
        batch.clear();
    }
}
