//! Names and arguments of all queues and exchanges.

use std::fmt;

use darda_core::model::{ConversationId, NodeId};
use lapin::Channel;
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::config::RabbitConfig;
use crate::error::is_refused_declaration;

/// Bytes that wait in a node's live queue before its oldest messages are dropped.
const LIVE_BYTES: i64 = 256 * 1024 * 1024;

/// The names of one system.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
    queues: u16,
}

impl Names {
    pub(crate) fn new(config: &RabbitConfig) -> Self {
        Self {
            prefix: config.prefix.clone(),
            queues: config.persist_queues,
        }
    }

    /// The number of a conversation's durable queue.
    pub(crate) fn persist_of(&self, conversation: ConversationId) -> u16 {
        conversation.shard() % self.queues
    }

    pub(crate) fn persist(&self, number: u16) -> String {
        format!("{}.persist.{number}", self.prefix)
    }

    /// All durable queues.
    pub(crate) fn all_persist(&self) -> impl Iterator<Item = String> {
        (0..self.queues).map(|number| self.persist(number))
    }

    /// Exchange and queue of what can never be stored.
    pub(crate) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// Routes events to the nodes that they name.
    pub(crate) fn live(&self) -> String {
        format!("{}.live", self.prefix)
    }

    /// Routes events to all nodes.
    pub(crate) fn live_all(&self) -> String {
        format!("{}.live.all", self.prefix)
    }

    /// A subscription's queue. It has a name of its own each time: the queue of a connection that
    /// broke unseen is locked until the server finds out.
    pub(crate) fn live_of(&self, node: &NodeId, subscription: u64) -> String {
        format!("{}.live.{node}.{subscription:016x}", self.prefix)
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    DurablePublisher,
    Writer,
    LivePublisher,
    Subscriber,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DurablePublisher => "durable publisher",
            Self::Writer => "writer",
            Self::LivePublisher => "live publisher",
            Self::Subscriber => "subscriber",
        })
    }
}

/// Declares what lasts and is needed: live events come back without the durable queues. The
/// connection's channels are new for each attempt, since a refusal closes the channel.
pub(crate) async fn declare(
    connection: &lapin::Connection,
    purpose: Purpose,
    names: &Names,
    config: &RabbitConfig,
) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    match purpose {
        Purpose::DurablePublisher | Purpose::Writer => {
            declare_queues(connection, &channel, names, config).await?;
        }
        Purpose::LivePublisher | Purpose::Subscriber => {
            declare_exchange(&channel, names.live(), ExchangeKind::Direct).await?;
            declare_exchange(&channel, names.live_all(), ExchangeKind::Fanout).await?;
        }
    }
    channel.close(200, "".into()).await
}

async fn declare_exchange(
    channel: &Channel,
    name: String,
    kind: ExchangeKind,
) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let nothing = FieldTable::default();
    channel
        .exchange_declare(name.into(), kind, durable, nothing)
        .await
}

async fn declare_queues(
    connection: &lapin::Connection,
    channel: &Channel,
    names: &Names,
    config: &RabbitConfig,
) -> lapin::Result<()> {
    declare_exchange(channel, names.dead(), ExchangeKind::Fanout).await?;
    let dead = [
        ("x-queue-type", text("quorum")),
        (
            "x-max-length",
            AMQPValue::LongLongInt(config.dead_limit.into()),
        ),
        ("x-overflow", text("reject-publish")),
    ];
    declare_durable(channel, &names.dead(), table(&dead)).await?;
    let bind = QueueBindOptions::default();
    let nothing = FieldTable::default();
    channel
        .queue_bind(
            names.dead().into(),
            names.dead().into(),
            "".into(),
            bind,
            nothing,
        )
        .await?;
    for name in names.all_persist() {
        declare_persist(connection, channel, &name, config).await?;
    }
    Ok(())
}

async fn declare_persist(
    connection: &lapin::Connection,
    channel: &Channel,
    name: &str,
    config: &RabbitConfig,
) -> lapin::Result<()> {
    let limit = i64::from(config.persist_limit);
    let mut arguments = vec![
        ("x-queue-type", text("quorum")),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ("x-max-length", AMQPValue::LongLongInt(limit)),
        ("x-overflow", text("reject-publish")),
    ];
    // Before 4.0 no number of deliveries is too many, and the argument may not be negative.
    let old = table(&arguments);
    arguments.push(("x-delivery-limit", AMQPValue::LongLongInt(-1)));
    match declare_durable(channel, name, table(&arguments)).await {
        Err(error) if is_refused_declaration(&error) => {
            let channel = connection.create_channel().await?;
            if declare_durable(&channel, name, old).await.is_ok() {
                return channel.close(200, "".into()).await;
            }
            tracing::error!(queue = name, %error,
                "a durable queue is there with other arguments: delete it, or use another prefix");
            Err(error)
        }
        declared => declared,
    }
}

async fn declare_durable(
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
) -> lapin::Result<()> {
    channel
        .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .map(drop)
}

/// Declares a subscription's queue and binds it.
pub(crate) async fn declare_live(
    channel: &Channel,
    names: &Names,
    node: &NodeId,
    queue: &str,
    limit: u32,
) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let arguments = [
        ("x-max-length", AMQPValue::LongLongInt(i64::from(limit))),
        ("x-max-length-bytes", AMQPValue::LongLongInt(LIVE_BYTES)),
        ("x-overflow", text("drop-head")),
    ];
    channel
        .queue_declare(queue.into(), options, table(&arguments))
        .await?;
    for (exchange, key) in [
        (names.live(), node.to_string()),
        (names.live_all(), String::new()),
    ] {
        let bind = QueueBindOptions::default();
        let nothing = FieldTable::default();
        channel
            .queue_bind(queue.into(), exchange.into(), key.into(), bind, nothing)
            .await?;
    }
    Ok(())
}
