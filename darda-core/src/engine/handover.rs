//! The durable way to the broker, in batches of what waits: while one batch is on its way, the next
//! one gathers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::node::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Entry;

const MAX_BATCH: usize = 1000;

/// An entry and who waits for the broker's confirm.
#[derive(Debug)]
pub(crate) struct Handover {
    entry: Arc<Entry>,
    confirmed: oneshot::Sender<Result<()>>,
}

impl Node {
    /// Queues an entry for the broker.
    pub(crate) fn hand_over(&self, entry: Arc<Entry>) -> Result<oneshot::Receiver<Result<()>>> {
        let (confirmed, receiver) = oneshot::channel();
        self.handover
            .try_send(Handover { entry, confirmed })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    Error::new(ErrorKind::Busy, "too many sends wait for the broker")
                        .with_retry_after(std::time::Duration::from_millis(500))
                }
                mpsc::error::TrySendError::Closed(_) => {
                    Error::new(ErrorKind::Closed, "the node has stopped")
                }
            })?;
        Ok(receiver)
    }
}

pub(crate) async fn run(node: Arc<Node>, mut inbox: mpsc::Receiver<Handover>) {
    let mut batch = Vec::new();
    while node.gather(&mut inbox, &mut batch, MAX_BATCH).await {
        node.instruments.handover_depth.set(batch.len() as f64);
        let entries = batch.iter().map(|one| one.entry.clone()).collect();
        let outcome = node.bounded(node.ports.broker.enqueue(entries)).await;
        let counter = if outcome.is_ok() {
            &node.instruments.acks
        } else {
            &node.instruments.send_errors
        };
        counter.increment(batch.len() as u64);
        for one in batch.drain(..) {
            // Nobody waits for it any longer: the entry is in the outbox all the same.
            let _ = one.confirmed.send(outcome.clone());
        }
    }
}
