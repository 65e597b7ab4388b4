//! Takes entries from the broker into the store, then out of the outbox, then from the broker.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::{Instant, timeout_at};

use super::batch::Batch;
use super::node::{Backoff, Node};
use crate::error::Result;
use crate::ports::{Delivery, Verdict};

/// Attempts at giving verdicts before the stream is given up.
const SETTLE_ATTEMPTS: usize = 3;
/// Entries that the store is given at once at the least, however slow it is.
const LEAST_INSERT: usize = 8;
/// A batch of so many is worth its calls: the writer does not gather more.
const WORTH: usize = 64;
/// After a batch of which something could not be stored.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    let mut pace = Pace::new(node.options.writer_batch);
    let worth = WORTH.min(node.options.writer_batch);
    loop {
        match node
            .bounded(node.ports.broker.consume(node.options.writer_batch))
            .await
        {
            Ok(mut stream) => {
                let mut gathers_until = Instant::now();
                loop {
                    let batch = tokio::select! {
                        biased;
                        () = node.stop.cancelled() => return,
                        batch = gather(&mut stream, worth, gathers_until) => batch,
                    };
                    match batch {
                        Some(Ok(deliveries)) => {
                            backoff.reset();
                            gathers_until = Instant::now() + node.options.writer_window;
                            if !write(&node, deliveries, &mut pace).await {
                                break;
                            }
                        }
                        Some(Err(error)) => {
                            tracing::warn!(%error, "the writer's stream ends");
                            break;
                        }
                        None => break,
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "nothing to write from"),
        }
        if !node.pause(backoff.next()).await {
            return;
        }
    }
}

/// The next batch: what waits, and unless it is worth its calls what comes until then.
async fn gather(
    stream: &mut BoxStream<'static, Result<Vec<Delivery>>>,
    worth: usize,
    until: Instant,
) -> Option<Result<Vec<Delivery>>> {
    let mut batch = Vec::new();
    while batch.len() < worth {
        let next = if batch.is_empty() {
            stream.next().await
        } else {
            match timeout_at(until, stream.next()).await {
                Ok(next) => next,
                Err(_) => break,
            }
        };
        match next {
            Some(Ok(deliveries)) => batch.extend(deliveries),
            ended => return ended,
        }
    }
    Some(Ok(batch))
}

/// Writes a batch and settles it. Returns whether the broker took the verdicts; if not, a new stream
/// brings the deliveries again.
async fn write(node: &Arc<Node>, deliveries: Vec<Delivery>, pace: &mut Pace) -> bool {
    node.instruments
        .writer_batch
        .record(deliveries.len() as f64);
    let mut verdicts = vec![Verdict::Again; deliveries.len()];
    Batch::new(node, &deliveries, &mut verdicts, pace)
        .process()
        .await;
    let again = verdicts
        .iter()
        .filter(|verdict| **verdict == Verdict::Again)
        .count();
    let dead = verdicts
        .iter()
        .filter(|verdict| **verdict == Verdict::Dead)
        .count();
    node.instruments.writer_retries.increment(again as u64);
    node.instruments.writer_dead.increment(dead as u64);
    if again > 0 {
        // What comes back at once would keep both sides busy for nothing.
        node.pause(AGAIN_PAUSE).await;
    }
    let settled: Vec<_> = deliveries
        .iter()
        .map(|delivery| delivery.tag)
        .zip(verdicts)
        .collect();
    for _ in 0..SETTLE_ATTEMPTS {
        match node
            .bounded(node.ports.broker.settle(settled.clone()))
            .await
        {
            Ok(()) => return true,
            Err(error) => tracing::debug!(%error, "the broker did not take verdicts"),
        }
    }
    false
}

/// How many entries the store is given at once. Fewer after it did not take them in time: a batch that
/// is too large for a slow store would be given to it for ever.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) now: usize,
    most: usize,
}

impl Pace {
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { now: most, most }
    }

    pub(super) fn slower(&mut self) {
        self.now = (self.now / 2).max(LEAST_INSERT).min(self.most);
    }

    pub(super) fn faster(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
    }
}
