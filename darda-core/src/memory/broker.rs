//! The in-memory broker: one durable queue with one consumer at a time, and live routing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::live::Live;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Entry, NodeId};
use crate::ports::{Broker, Delivery, DeliveryTag, LiveEvent, Publication, Verdict};

const DEFAULT_QUEUE: usize = 100_000;
const DEFAULT_LIVE_QUEUE: usize = 10_000;
const DEFAULT_DEAD_LETTERS: usize = 10_000;
/// How long an entry waits that could not be stored.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The [`Broker`] in memory.
///
/// The first consumer is given all shards; when its stream is dropped, the next one takes over.
#[derive(Debug)]
pub struct MemoryBroker {
    durable: Arc<Mutex<Durable>>,
    live: Arc<Live>,
}

#[derive(Debug)]
struct Durable {
    waiting: VecDeque<Arc<Entry>>,
    /// Given out, by tag, which is the order of delivery.
    given: BTreeMap<u64, Arc<Entry>>,
    /// To be delivered again, not before this moment.
    again: BTreeMap<(Instant, u64), Arc<Entry>>,
    dead: VecDeque<Arc<Entry>>,
    consumers: VecDeque<Consumer>,
    next_tag: u64,
    next_consumer: u64,
    queue_limit: usize,
    dead_limit: usize,
}

#[derive(Debug)]
struct Consumer {
    id: u64,
    wake: Arc<Notify>,
}

/// Gives back what is not settled when the stream is dropped.
struct Consuming {
    durable: Arc<Mutex<Durable>>,
    id: u64,
    wake: Arc<Notify>,
    max_batch: usize,
    over: bool,
}

/// What a consumer finds.
enum Look {
    Batch(Vec<Delivery>),
    /// Nothing, but something comes again at this moment.
    Until(Instant),
    Nothing,
    CutOff,
}

impl MemoryBroker {
    /// An empty broker.
    #[must_use]
    pub fn new() -> Self {
        let durable = Durable {
            waiting: VecDeque::new(),
            given: BTreeMap::new(),
            again: BTreeMap::new(),
            dead: VecDeque::new(),
            consumers: VecDeque::new(),
            next_tag: 0,
            next_consumer: 0,
            queue_limit: DEFAULT_QUEUE,
            dead_limit: DEFAULT_DEAD_LETTERS,
        };
        Self {
            durable: Arc::new(Mutex::new(durable)),
            live: Arc::new(Live::new(DEFAULT_LIVE_QUEUE)),
        }
    }

    /// How many entries may be enqueued and not settled; default 100,000. Above, `enqueue` is busy.
    #[must_use]
    pub fn with_queue_limit(self, entries: usize) -> Self {
        self.durable.lock().queue_limit = entries;
        self
    }

    /// How many dead letters are kept; default 10,000. Above, the oldest are dropped.
    #[must_use]
    pub fn with_dead_letter_limit(self, entries: usize) -> Self {
        self.durable.lock().dead_limit = entries;
        self
    }

    /// How many live events wait for each node; default 10,000. Above, the oldest are dropped.
    #[must_use]
    pub fn with_live_limit(mut self, events: usize) -> Self {
        self.live = Arc::new(Live::new(events));
        self
    }

    /// The entries that can never be stored, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Arc<Entry>> {
        self.durable.lock().dead.iter().cloned().collect()
    }

    /// How many live events were dropped because a node's queue was full.
    #[must_use]
    pub fn live_dropped(&self) -> u64 {
        self.live.dropped()
    }

    /// Ends every stream with an error, as a restart of the broker does. The durable queue is kept,
    /// live events are not.
    #[cfg(feature = "faults")]
    pub fn restart(&self) {
        self.live.cut();
        let mut durable = self.durable.lock();
        durable.take_back();
        for consumer in durable.consumers.drain(..) {
            consumer.wake.notify_one();
        }
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Durable {
    fn len(&self) -> usize {
        self.waiting.len() + self.given.len() + self.again.len()
    }

    fn wake(&self) {
        if let Some(consumer) = self.consumers.front() {
            consumer.wake.notify_one();
        }
    }

    fn enqueue(&mut self, entries: Vec<Arc<Entry>>) -> Result<()> {
        if self.len() + entries.len() > self.queue_limit {
            return Err(
                Error::new(ErrorKind::Busy, "too many entries wait to be stored")
                    .with_retry_after(Duration::from_secs(1)),
            );
        }
        // Otherwise the consumer has been woken already, or waits for nothing.
        let wake = self.waiting.is_empty();
        self.waiting.extend(entries);
        if wake {
            self.wake();
        }
        Ok(())
    }

    fn look(&mut self, consumer: u64, max_batch: usize) -> Look {
        match self.consumers.front() {
            Some(active) if active.id == consumer => {}
            _ if self.consumers.iter().any(|other| other.id == consumer) => return Look::Nothing,
            _ => return Look::CutOff,
        }
        if !self.again.is_empty() {
            let later = self.again.split_off(&(Instant::now(), u64::MAX));
            let due = std::mem::replace(&mut self.again, later);
            for entry in due.into_values().rev() {
                self.waiting.push_front(entry);
            }
        }
        if self.waiting.is_empty() {
            let next = self.again.first_key_value();
            return next.map_or(Look::Nothing, |(&(at, _), _)| Look::Until(at));
        }
        let batch = self.waiting.len().min(max_batch.max(1));
        let batch = self.waiting.drain(..batch).map(|entry| {
            self.next_tag += 1;
            self.given.insert(self.next_tag, entry.clone());
            Delivery {
                tag: DeliveryTag(self.next_tag),
                entry,
            }
        });
        Look::Batch(batch.collect())
    }

    fn settle(&mut self, verdicts: Vec<(DeliveryTag, Verdict)>) {
        let mut again = false;
        for (DeliveryTag(tag), verdict) in verdicts {
            let Some(entry) = self.given.remove(&tag) else {
                continue;
            };
            match verdict {
                Verdict::Done => {}
                Verdict::Again => {
                    self.again
                        .insert((Instant::now() + AGAIN_AFTER, tag), entry);
                    again = true;
                }
                Verdict::Dead => {
                    self.dead.push_back(entry);
                    if self.dead.len() > self.dead_limit {
                        self.dead.pop_front();
                        tracing::warn!(limit = self.dead_limit, "a dead letter was dropped");
                    }
                }
            }
        }
        if again {
            self.wake();
        }
    }

    /// Takes back what the consumer that is gone did not settle, in its order.
    fn take_back(&mut self) {
        for entry in std::mem::take(&mut self.given).into_values().rev() {
            self.waiting.push_front(entry);
        }
    }

    fn leave(&mut self, consumer: u64) {
        let active = self
            .consumers
            .front()
            .is_some_and(|active| active.id == consumer);
        self.consumers.retain(|other| other.id != consumer);
        if active {
            self.take_back();
            self.wake();
        }
    }
}

impl Consuming {
    async fn next(&mut self) -> Option<Result<Vec<Delivery>>> {
        if self.over {
            return None;
        }
        loop {
            let look = self.durable.lock().look(self.id, self.max_batch);
            // A wake between the look and the wait is kept for the wait.
            match look {
                Look::Batch(batch) => return Some(Ok(batch)),
                Look::Nothing => self.wake.notified().await,
                Look::Until(at) => drop(timeout_at(at, self.wake.notified()).await),
                Look::CutOff => {
                    self.over = true;
                    return Some(Err(Error::unavailable("the consumer was cut off")));
                }
            }
        }
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        self.durable.lock().leave(self.id);
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()> {
        self.durable.lock().enqueue(entries)
    }

    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        let wake = Arc::new(Notify::new());
        let id = {
            let mut durable = self.durable.lock();
            durable.next_consumer += 1;
            let id = durable.next_consumer;
            durable.consumers.push_back(Consumer {
                id,
                wake: wake.clone(),
            });
            id
        };
        let durable = self.durable.clone();
        let consuming = Consuming {
            durable,
            id,
            wake,
            max_batch,
            over: false,
        };
        Ok(stream::unfold(consuming, |mut consuming| async move {
            consuming.next().await.map(|batch| (batch, consuming))
        })
        .boxed())
    }

    async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        self.durable.lock().settle(verdicts);
        Ok(())
    }

    async fn backlog(&self) -> Result<u64> {
        Ok(self.durable.lock().len() as u64)
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<()> {
        self.live.publish(publications);
        Ok(())
    }

    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        Ok(self.live.subscribe(node))
    }
}
