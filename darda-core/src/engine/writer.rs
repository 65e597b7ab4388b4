//! Takes entries from the broker into the store, then out of the outbox, then from the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};

use super::node::{Backoff, Node};
use crate::error::Result;
use crate::model::{Body, ConversationId, Entry, Position};
use crate::ports::{Delivery, EventBody, Head, Inserted, Settled, Verdict};

/// Attempts at giving verdicts before the stream is given up.
const SETTLE_ATTEMPTS: usize = 3;
/// Entries that the store is given at once at the least, however slow it is.
const LEAST_INSERT: usize = 8;
/// Conversations of a batch of which entries are moved at a time.
const MOVES_AT_ONCE: usize = 32;
/// After a batch of which something could not be stored.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    let mut pace = Pace::new(node.options.writer_batch);
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
async fn write(node: &Arc<Node>, deliveries: Vec<Delivery>, pace: &mut Pace) -> bool {
    node.instruments
        .writer_batch
        .record(deliveries.len() as f64);
    let mut verdicts = vec![Verdict::Again; deliveries.len()];
    let mut batch = Batch {
        node,
        deliveries: &deliveries,
        verdicts: &mut verdicts,
        pace,
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

/// How many entries the store is given at once. Fewer after it did not take them in time: a batch that
/// is too large for a slow store would be given to it for ever.
#[derive(Debug)]
struct Pace {
    now: usize,
    most: usize,
}

impl Pace {
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { now: most, most }
    }

    fn slower(&mut self) {
        self.now = (self.now / 2).max(LEAST_INSERT).min(self.most);
    }

    fn faster(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
    }
}

/// What is left to do about an entry that does not simply stand where it was appended.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// It is a change of members that another one came before.
    Refused,
    /// Its id is stored at another position.
    Overtaken { stands: Position },
    /// Another entry has its position.
    Taken,
    /// It is stored, and the cache has forgotten it.
    Forgotten,
}

/// Deliveries and their verdicts, `Again` until something else is known.
struct Batch<'a> {
    node: &'a Arc<Node>,
    deliveries: &'a [Delivery],
    verdicts: &'a mut [Verdict],
    pace: &'a mut Pace,
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
        let (mut insert, mut left) = (Vec::new(), Vec::new());
        for at in 0..self.deliveries.len() {
            let entry = self.entry(at);
            if !matches!(entry.body, Body::Members { .. }) {
                insert.push(at);
                continue;
            }
            match self.node.bounded(self.node.commit_change(&entry)).await {
                Ok(true) => insert.push(at),
                Ok(false) => left.push((at, Left::Refused)),
                Err(error) => self.judge(at, Err(error)),
            }
        }
        let mut taken = true;
        // What was stored and settled stays so, whatever becomes of the rest.
        for some in insert.chunks(self.pace.now) {
            taken = self.store(some, &mut left).await;
            if !taken {
                break;
            }
        }
        if taken {
            self.pace.faster();
        } else {
            self.pace.slower();
        }
        self.deal_with(left).await;
    }

    /// Stores entries and takes them out of the outbox. Returns whether they were taken in time.
    async fn store(&mut self, at: &[usize], left: &mut Vec<(usize, Left)>) -> bool {
        let Some(inserted) = self.insert(at).await else {
            return false;
        };
        let mut settle = Vec::new();
        for (at, inserted) in inserted {
            match inserted {
                Inserted::New => {
                    self.node.instruments.written.increment(1);
                    settle.push(at);
                }
                Inserted::Repeat => {
                    self.node.instruments.writer_repeats.increment(1);
                    settle.push(at);
                }
                Inserted::Duplicate { stands } => left.push((at, Left::Overtaken { stands })),
                Inserted::Taken => left.push((at, Left::Taken)),
            }
        }
        self.settle(settle, left).await
    }

    /// Does what is left to do: in several conversations at a time, since each entry costs some round
    /// trips and a cache that lost its memory leaves many; in each one after another, so that its
    /// entries keep their order.
    async fn deal_with(&mut self, left: Vec<(usize, Left)>) {
        let mut conversations: BTreeMap<ConversationId, Vec<_>> = BTreeMap::new();
        for (at, left) in left {
            let entry = self.entry(at);
            let one = conversations.entry(entry.conversation).or_default();
            one.push((at, entry, left));
        }
        let node = self.node;
        let work = conversations.into_values().map(|one| async move {
            let mut outcomes = Vec::with_capacity(one.len());
            for (at, entry, left) in one {
                outcomes.push((at, node.bounded(node.deal_with(&entry, left)).await));
            }
            outcomes
        });
        let mut work = stream::iter(work).buffer_unordered(MOVES_AT_ONCE);
        while let Some(outcomes) = work.next().await {
            for (at, outcome) in outcomes {
                self.judge(at, outcome);
            }
        }
    }

    /// The store's judgements of entries. `None`: it did not take them in time.
    async fn insert(&mut self, at: &[usize]) -> Option<Vec<(usize, Inserted)>> {
        let entries = at.iter().map(|at| self.entry(*at)).collect();
        let insert = self.node.ports.store.insert(entries);
        match self.node.bounded(insert).await {
            Ok(inserted) => Some(at.iter().copied().zip(inserted).collect()),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, count = at.len(), "the store does not take a batch");
                None
            }
            Err(_) => Some(self.insert_one_by_one(at).await),
        }
    }

    /// Finds the entries for which the store refuses a batch.
    async fn insert_one_by_one(&mut self, at: &[usize]) -> Vec<(usize, Inserted)> {
        let mut judged = Vec::new();
        for at in at.iter().copied() {
            let insert = self.node.ports.store.insert(vec![self.entry(at)]);
            match self.node.bounded(insert).await {
                Ok(inserted) => judged.extend(inserted.into_iter().map(|inserted| (at, inserted))),
                Err(error) => self.judge(at, Err(error)),
            }
        }
        judged
    }

    /// Takes stored entries out of the outbox and moves heads on. Returns whether that was done.
    async fn settle(&mut self, at: Vec<usize>, left: &mut Vec<(usize, Left)>) -> bool {
        if at.is_empty() {
            return true;
        }
        let entries: Vec<_> = at.iter().map(|at| self.entry(*at)).collect();
        let settled = async {
            self.node.move_heads(&entries).await?;
            self.node.ports.cache.settle(entries).await
        };
        let settled = match self.node.bounded(settled).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::debug!(%error, "stored entries are not settled");
                for at in at {
                    self.judge(at, Err(error.clone()));
                }
                return false;
            }
        };
        for (at, settled) in at.into_iter().zip(settled) {
            match settled {
                Settled::Cleared | Settled::Known => self.judge(at, Ok(())),
                Settled::Lost => left.push((at, Left::Forgotten)),
            }
        }
        true
    }
}

impl Node {
    async fn deal_with(self: &Arc<Self>, entry: &Arc<Entry>, left: Left) -> Result<()> {
        match left {
            Left::Refused => self.take_back(entry, None).await,
            Left::Overtaken { stands } => self.overtaken(entry, stands).await,
            Left::Taken => self.move_unstored(entry).await,
            Left::Forgotten => self.move_on(entry).await,
        }
    }

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
