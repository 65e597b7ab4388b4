//! Takes entries from the broker into the store, then out of the outbox, then from the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use super::node::{Backoff, Node};
use crate::error::Result;
use crate::model::{Body, ConversationId, Entry, Position};
use crate::ports::{Delivery, EventBody, Head, Inserted, Settled, Verdict};

/// Attempts at giving verdicts before the stream is given up.
const SETTLE_ATTEMPTS: usize = 3;
/// After a batch of which something could not be stored.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    loop {
        match node
            .bounded(node.ports.broker.consume(node.options.writer_batch))
            .await
        {
            Ok(mut stream) => loop {
                let batch = tokio::select! {
                    biased;
                    () = node.stop.cancelled() => return,
                    batch = stream.next() => batch,
                };
                match batch {
                    Some(Ok(deliveries)) => {
                        backoff.reset();
                        if !write(&node, deliveries).await {
                            break;
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the writer's stream ends");
                        break;
                    }
                    None => break,
                }
            },
            Err(error) => tracing::warn!(%error, "nothing to write from"),
        }
        if !node.pause(backoff.next()).await {
            return;
        }
    }
}

/// Writes a batch and settles it. Returns whether the broker took the verdicts; if not, a new stream
/// brings the deliveries again.
async fn write(node: &Arc<Node>, deliveries: Vec<Delivery>) -> bool {
    node.instruments
        .writer_batch
        .record(deliveries.len() as f64);
    let mut verdicts = vec![Verdict::Again; deliveries.len()];
    let mut batch = Batch {
        node,
        deliveries: &deliveries,
        verdicts: &mut verdicts,
    };
    batch.process().await;
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

/// Deliveries and their verdicts, `Again` until something else is known.
struct Batch<'a> {
    node: &'a Arc<Node>,
    deliveries: &'a [Delivery],
    verdicts: &'a mut [Verdict],
}

impl Batch<'_> {
    fn entry(&self, at: usize) -> Arc<Entry> {
        self.deliveries[at].entry.clone()
    }

    /// Notes what became of a delivery.
    fn judge(&mut self, at: usize, outcome: Result<()>) {
        self.verdicts[at] = match outcome {
            Ok(()) => Verdict::Done,
            Err(error) if error.is_transient() => Verdict::Again,
            Err(error) => {
                let entry = &self.deliveries[at].entry;
                tracing::error!(id = %entry.id, conversation = %entry.conversation, %error,
                    "an entry can never be stored");
                Verdict::Dead
            }
        };
    }

    async fn process(&mut self) {
        let mut insert = Vec::new();
        for at in 0..self.deliveries.len() {
            let entry = self.entry(at);
            if !matches!(entry.body, Body::Members { .. }) {
                insert.push(at);
                continue;
            }
            match self.node.bounded(self.node.commit_change(&entry)).await {
                Ok(true) => insert.push(at),
                Ok(false) => {
                    let outcome = self.node.bounded(self.node.take_back(&entry, None)).await;
                    self.judge(at, outcome);
                }
                Err(error) => self.judge(at, Err(error)),
            }
        }
        let (stored, inserted) = self.insert(insert).await;
        let mut settle = Vec::new();
        for (at, inserted) in stored.into_iter().zip(inserted) {
            let entry = self.entry(at);
            match inserted {
                Inserted::New => {
                    self.node.instruments.written.increment(1);
                    settle.push(at);
                }
                Inserted::Repeat => {
                    self.node.instruments.writer_repeats.increment(1);
                    settle.push(at);
                }
                Inserted::Duplicate { stands } => {
                    let outcome = self.node.bounded(self.node.overtaken(&entry, stands)).await;
                    self.judge(at, outcome);
                }
                Inserted::Taken => {
                    let outcome = self.node.bounded(self.node.move_unstored(&entry)).await;
                    self.judge(at, outcome);
                }
            }
        }
        self.settle(settle).await;
    }

    /// Stores entries. Returns those that the store judged, with its judgements.
    async fn insert(&mut self, at: Vec<usize>) -> (Vec<usize>, Vec<Inserted>) {
        if at.is_empty() {
            return (at, Vec::new());
        }
        let entries = at.iter().map(|at| self.entry(*at)).collect();
        match self
            .node
            .bounded(self.node.ports.store.insert(entries))
            .await
        {
            Ok(inserted) => (at, inserted),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, count = at.len(), "the store does not take a batch");
                (Vec::new(), Vec::new())
            }
            Err(_) => self.insert_one_by_one(at).await,
        }
    }

    /// Finds the entries for which the store refuses a batch.
    async fn insert_one_by_one(&mut self, at: Vec<usize>) -> (Vec<usize>, Vec<Inserted>) {
        let (mut stored, mut judged) = (Vec::new(), Vec::new());
        for at in at {
            let insert = self.node.ports.store.insert(vec![self.entry(at)]);
            match self.node.bounded(insert).await {
                Ok(inserted) => {
                    stored.push(at);
                    judged.extend(inserted);
                }
                Err(error) => self.judge(at, Err(error)),
            }
        }
        (stored, judged)
    }

    /// Takes stored entries out of the outbox and moves heads on.
    async fn settle(&mut self, at: Vec<usize>) {
        if at.is_empty() {
            return;
        }
        let entries: Vec<_> = at.iter().map(|at| self.entry(*at)).collect();
        if let Err(error) = self.node.bounded(self.node.move_heads(&entries)).await {
            tracing::debug!(%error, "heads not written");
            return at
                .into_iter()
                .for_each(|at| self.judge(at, Err(error.clone())));
        }
        match self
            .node
            .bounded(self.node.ports.cache.settle(entries))
            .await
        {
            Ok(settled) => {
                for (at, settled) in at.into_iter().zip(settled) {
                    let outcome = match settled {
                        Settled::Cleared | Settled::Known => Ok(()),
                        Settled::Lost => {
                            let entry = self.entry(at);
                            self.node.bounded(self.node.move_on(&entry)).await
                        }
                    };
                    self.judge(at, outcome);
                }
            }
            Err(error) => at
                .into_iter()
                .for_each(|at| self.judge(at, Err(error.clone()))),
        }
    }
}

impl Node {
    pub(crate) async fn move_heads(&self, entries: &[Arc<Entry>]) -> Result<()> {
        let mut heads: BTreeMap<ConversationId, Head> = BTreeMap::new();
        for entry in entries {
            let head = Head {
                position: entry.position,
                last_message: entry.body.is_message().then(|| entry.clone()),
            };
            let newest = match heads.remove(&entry.conversation) {
                Some(known) => known.max(head),
                None => head,
            };
            heads.insert(entry.conversation, newest);
        }
        self.ports
            .store
            .set_heads(heads.into_iter().collect())
            .await
    }

    /// Takes an entry back that does not stand at its position.
    pub(crate) async fn take_back(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        stands: Option<Position>,
    ) -> Result<()> {
        self.ports
            .cache
            .withdraw(entry.conversation, entry.id, entry.position)
            .await?;
        self.instruments.writer_withdrawn.increment(1);
        self.tell_withdrawn(entry, entry.position, stands);
        Ok(())
    }

    pub(crate) fn tell_withdrawn(
        self: &Arc<Self>,
        entry: &Entry,
        position: Position,
        stands: Option<Position>,
    ) {
        let body = EventBody::Withdrawn {
            conversation: entry.conversation,
            id: entry.id,
            position,
            stands,
        };
        self.tell_members(entry, body, None);
    }
}
