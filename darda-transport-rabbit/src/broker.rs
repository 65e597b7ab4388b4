//! The port.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use darda_core::adapter::Redacted;
use darda_core::model::{Entry, NodeId};
use darda_core::ports::{Broker, Delivery, DeliveryTag, LiveEvent, Publication, Route, Verdict};
use darda_core::{ErrorKind, Result};
use futures::stream::BoxStream;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, PublisherConfirm};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::RabbitConfig;
use crate::connection::{Dialer, PERSISTENT};
use crate::consuming::Streams;
use crate::error::{busy, from_driver, unavailable};
use crate::link::{Line, Link};
use crate::live::Subscriptions;
use crate::packing::{bundle, pack};
use crate::topology::Purpose;

/// AMQP's number for messages that do not survive a restart.
const TRANSIENT: u8 = 1;

/// A broker on RabbitMQ. Its connections end with it.
#[derive(Debug)]
pub struct RabbitBroker {
    dialer: Dialer,
    /// What must last and what may be lost do not wait for each other: the server slows down whole
    /// connections.
    durable: Link,
    live: Link,
    streams: Arc<Streams>,
    subscriptions: Subscriptions,
    /// Names subscriptions; begins at random, so that processes do not meet.
    next_subscription: AtomicU64,
    _stop: DropGuard,
}

impl RabbitBroker {
    /// Starts connecting. A server that is away now is no error: calls are `Unavailable` until it is
    /// there. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Invalid` if the URL or a certificate cannot be used, or if [`RabbitConfig::with_tls`] says
    /// something that an `amqp://` URL has no use for.
    pub async fn connect(config: RabbitConfig) -> Result<Self> {
        let config = Arc::new(config);
        let dialer = Dialer::new(config.clone())?;
        if !config.tls.is_verified() {
            tracing::warn!(
                url = %Redacted(&config.url),
                "rabbitmq's certificate is not verified: whoever sits between can read and change \
                 everything"
            );
        }
        let stop = CancellationToken::new();
        Ok(Self {
            durable: Link::start(dialer.clone(), Purpose::DurablePublisher, stop.clone()),
            live: Link::start(dialer.clone(), Purpose::LivePublisher, stop.clone()),
            dialer,
            streams: Arc::default(),
            subscriptions: Subscriptions::default(),
            next_subscription: AtomicU64::new(RandomState::new().build_hasher().finish()),
            _stop: stop.drop_guard(),
        })
    }

    async fn enqueue_on(&self, line: &Line, entries: &[Arc<Entry>]) -> Result<()> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let names = self.dialer.names();
        let bundles = bundle(entries, |entry| names.persist_of(entry.conversation))?;
        let mut confirms = Vec::with_capacity(bundles.len());
        for bundle in bundles {
            self.streams.average().count(bundle.entries);
            let queue = names.persist(bundle.queue).into();
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let confirm = line
                .channel
                .basic_publish("".into(), queue, options, &bundle.bytes, properties)
                .await
                .map_err(from_driver)?;
            confirms.push(confirm);
        }
        self.confirmed(line, confirms).await
    }

    async fn publish_on(&self, line: &Line, publications: Vec<Publication>) -> Result<()> {
        let names = self.dialer.names();
        let mut confirms = Vec::new();
        for message in pack(publications)? {
            let properties = BasicProperties::default().with_delivery_mode(TRANSIENT);
            let (exchange, key, properties) = match &message.route {
                Route::Nodes(nodes) => {
                    let Some((first, others)) = nodes.split_first() else {
                        continue;
                    };
                    let others: Vec<_> = others
                        .iter()
                        .map(|node| AMQPValue::LongString(LongString::from(node.as_str())))
                        .collect();
                    let mut headers = FieldTable::default();
                    if !others.is_empty() {
                        headers.insert("CC".into(), AMQPValue::FieldArray(others.into()));
                    }
                    let properties = properties.with_headers(headers);
                    (names.live(), ShortString::from(first.as_str()), properties)
                }
                Route::AllBut(node) => {
                    let properties = properties.with_app_id(node.as_str().into());
                    (names.live_all(), ShortString::default(), properties)
                }
            };
            let options = BasicPublishOptions::default();
            let confirm = line
                .channel
                .basic_publish(exchange.into(), key, options, &message.bytes, properties)
                .await
                .map_err(from_driver)?;
            confirms.push(confirm);
        }
        match self.confirmed(line, confirms).await {
            // A full live queue drops its oldest; nothing is refused.
            Err(error) if error.kind() == ErrorKind::Busy && !line.connection.is_blocked() => {
                Ok(())
            }
            confirmed => confirmed,
        }
    }

    async fn confirmed(&self, line: &Line, confirms: Vec<PublisherConfirm>) -> Result<()> {
        let patience = self.dialer.config().confirm_timeout;
        line.connection.confirmed(confirms, patience).await
    }
}

/// The line, if it takes messages.
async fn open(link: &Link) -> Result<Line> {
    let line = link.line().await?;
    if line.connection.is_blocked() {
        return Err(busy("rabbitmq has no memory or disk left"));
    }
    Ok(line)
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()> {
        let line = open(&self.durable).await?;
        line.noted(self.enqueue_on(&line, &entries).await)
    }

    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        self.streams.clone().open(&self.dialer, max_batch).await
    }

    async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        self.streams.settle(verdicts).await
    }

    async fn backlog(&self) -> Result<u64> {
        let line = self.durable.line().await?;
        let asking = async {
            let channel = line.connection.asking();
            let mut waiting = 0;
            for queue in self.dialer.names().all_persist() {
                let passive = QueueDeclareOptions {
                    passive: true,
                    ..QueueDeclareOptions::default()
                };
                let nothing = FieldTable::default();
                let queue = channel.queue_declare(queue.into(), passive, nothing);
                waiting += u64::from(queue.await?.message_count());
            }
            Ok(waiting)
        };
        let waiting = timeout(self.dialer.config().confirm_timeout, asking)
            .await
            .map_err(|_| unavailable("rabbitmq does not answer"))?;
        match waiting {
            Ok(waiting) => {
                let waiting = self.streams.average().entries_of(waiting);
                Ok(waiting + self.streams.unsettled() as u64)
            }
            Err(error) => {
                // The refused question closed the channel.
                line.connection.give_up();
                Err(from_driver(error))
            }
        }
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<()> {
        let line = open(&self.live).await?;
        line.noted(self.publish_on(&line, publications).await)
    }

    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        let number = self.next_subscription.fetch_add(1, Ordering::Relaxed);
        self.subscriptions.open(&self.dialer, node, number).await
    }
}
