//! A broker that goes wrong.

#![deny(clippy::missing_trait_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::switchboard::{Faults, Port};
use crate::error::{Error, Result};
use crate::model::{Entry, NodeId};
use crate::ports::{Broker, Delivery, DeliveryTag, LiveEvent, Publication, Verdict};

/// The tags of repeats that the wrapper made, which the broker does not know.
const REPEAT: u64 = 1 << 63;

/// A [`Broker`] with [`Faults`].
#[derive(Debug)]
pub struct FaultyBroker {
    inner: Arc<dyn Broker>,
    faults: Faults,
    repeats: Arc<AtomicU64>,
}

impl FaultyBroker {
    /// Wraps a broker.
    #[must_use]
    pub fn new(inner: Arc<dyn Broker>, faults: Faults) -> Self {
        Self {
            inner,
            faults,
            repeats: Arc::default(),
        }
    }
}

/// A stream that hangs and is cut.
struct Faulty<T> {
    /// `None` after a cut.
    inner: Option<BoxStream<'static, Result<Vec<T>>>>,
    faults: Faults,
}

impl<T> Faulty<T> {
    /// The next batch. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Option<Result<Vec<T>>> {
        self.faults.hang(Port::Broker).await;
        let batch = self.inner.as_mut()?.next().await?;
        if self.faults.strikes(Port::Broker, |trouble| trouble.cuts) {
            self.inner = None;
            return Some(Err(Error::unavailable("a fault cut the stream")));
        }
        Some(batch)
    }
}

/// Deliveries, of which some come twice.
struct Deliveries {
    stream: Faulty<Delivery>,
    repeats: Arc<AtomicU64>,
}

impl Deliveries {
    async fn next(&mut self) -> Option<Result<Vec<Delivery>>> {
        let mut batch = match self.stream.next().await? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let faults = &self.stream.faults;
        // A batch that came in spite of the hanging waits with it.
        faults.hang(Port::Broker).await;
        for index in 0..batch.len() {
            if faults.strikes(Port::Broker, |trouble| trouble.repeats) {
                let tag = REPEAT | self.repeats.fetch_add(1, Ordering::Relaxed);
                let entry = batch[index].entry.clone();
                batch.push(Delivery {
                    tag: DeliveryTag(tag),
                    entry,
                });
            }
        }
        Some(Ok(batch))
    }
}

/// Live events, of which some are lost, come twice, late, or in another order.
struct Events {
    stream: Faulty<LiveEvent>,
    /// Held back until its moment; the number keeps apart what has the same one.
    held: BTreeMap<(Instant, u64), LiveEvent>,
    next: u64,
}

impl Events {
    async fn next(&mut self) -> Option<Result<Vec<LiveEvent>>> {
        // No batch is empty, also if every event of it is lost.
        loop {
            let due = self.held.first_key_value().map(|(&(at, _), _)| at);
            let batch = match due {
                None => self.stream.next().await?,
                Some(due) => tokio::select! {
                    biased;
                    () = sleep_until(due) => Ok(Vec::new()),
                    batch = self.stream.next() => batch?,
                },
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            // A batch that came in spite of the hanging waits with it.
            self.stream.faults.hang(Port::Broker).await;
            let later = self.held.split_off(&(Instant::now(), u64::MAX));
            let late = std::mem::replace(&mut self.held, later);
            let mut out = self.disturb(batch);
            out.extend(late.into_values());
            if !out.is_empty() {
                return Some(Ok(out));
            }
        }
    }

    fn disturb(&mut self, batch: Vec<LiveEvent>) -> Vec<LiveEvent> {
        let faults = &self.stream.faults;
        let mut out = Vec::with_capacity(batch.len());
        for event in batch {
            if faults.strikes(Port::Broker, |trouble| trouble.drops_events) {
                continue;
            }
            if faults.strikes(Port::Broker, |trouble| trouble.repeats) {
                out.push(event.clone());
            }
            match faults.holds_back(Port::Broker) {
                Some(wait) => {
                    self.next += 1;
                    self.held.insert((Instant::now() + wait, self.next), event);
                }
                None => out.push(event),
            }
        }
        if out.len() > 1 && faults.strikes(Port::Broker, |trouble| trouble.shuffles) {
            for last in (1..out.len()).rev() {
                let other = usize::try_from(faults.below(last as u64 + 1)).unwrap_or(0);
                out.swap(last, other);
            }
        }
        out
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()> {
        let enqueue = |entries| self.inner.enqueue(entries);
        self.faults
            .around_batch(Port::Broker, entries, enqueue)
            .await
    }

    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        let stream = self
            .faults
            .around(Port::Broker, self.inner.consume(max_batch))
            .await?;
        let stream = Faulty {
            inner: Some(stream),
            faults: self.faults.clone(),
        };
        let deliveries = Deliveries {
            stream,
            repeats: self.repeats.clone(),
        };
        Ok(stream::unfold(deliveries, |mut deliveries| async move {
            deliveries.next().await.map(|batch| (batch, deliveries))
        })
        .boxed())
    }

    async fn settle(&self, mut verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        verdicts.retain(|(tag, _)| tag.0 & REPEAT == 0);
        let settle = |verdicts| self.inner.settle(verdicts);
        self.faults
            .around_batch(Port::Broker, verdicts, settle)
            .await
    }

    async fn backlog(&self) -> Result<u64> {
        self.faults.around(Port::Broker, self.inner.backlog()).await
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<()> {
        let publish = |publications| self.inner.publish(publications);
        self.faults
            .around_batch(Port::Broker, publications, publish)
            .await
    }

    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        let stream = self
            .faults
            .around(Port::Broker, self.inner.subscribe(node))
            .await?;
        let stream = Faulty {
            inner: Some(stream),
            faults: self.faults.clone(),
        };
        let events = Events {
            stream,
            held: BTreeMap::new(),
            next: 0,
        };
        Ok(stream::unfold(events, |mut events| async move {
            events.next().await.map(|batch| (batch, events))
        })
        .boxed())
    }
}
