//! A broker that holds out.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::breaker::Breaker;
use super::policy::Policy;
use super::settings::Resilience;
use crate::error::Result;
use crate::model::{Entry, NodeId};
use crate::ports::{Broker, Delivery, DeliveryTag, LiveEvent, Publication, Verdict};

/// A [`Broker`] with [`Resilience`]. Live events have a breaker and a retry budget of their own, in the
/// metrics the port `live`: while they alone do not get through, what must last does.
#[derive(Debug)]
pub struct ResilientBroker {
    inner: Arc<dyn Broker>,
    durable: Policy,
    live: Policy,
}

impl ResilientBroker {
    /// Wraps a broker.
    #[must_use]
    pub fn new(inner: Arc<dyn Broker>, settings: &Resilience) -> Self {
        Self {
            inner,
            durable: Policy::new("broker", settings),
            live: Policy::new("live", settings),
        }
    }

    /// The breaker of what must last.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        self.durable.breaker().clone()
    }
}

#[async_trait]
impl Broker for ResilientBroker {
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()> {
        self.durable
            .repeat(|| self.inner.enqueue(entries.clone()))
            .await
    }

    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        self.durable.once(self.inner.consume(max_batch)).await
    }

    async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        self.durable
            .repeat(|| self.inner.settle(verdicts.clone()))
            .await
    }

    async fn backlog(&self) -> Result<u64> {
        self.durable.repeat(|| self.inner.backlog()).await
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<()> {
        self.live
            .repeat(|| self.inner.publish(publications.clone()))
            .await
    }

    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        self.live.once(self.inner.subscribe(node)).await
    }
}
