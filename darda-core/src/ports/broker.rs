//! Durable hand-over of entries to the writer, and live routing of events to nodes.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::event::LiveEvent;
use crate::error::Result;
use crate::model::{Entry, NodeId};

/// Names a delivery for [`Broker::settle`]. Opaque; of no use after its stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryTag(pub u64);

/// An entry handed to a writer, which owes a verdict.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For the verdict.
    pub tag: DeliveryTag,
    /// The entry.
    pub entry: Arc<Entry>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored: forget it.
    Done,
    /// It could not be stored now: deliver it again, later.
    Again,
    /// It can never be stored: keep it where an operator finds it (the dead letters).
    Dead,
}

/// Which nodes a live event goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// These nodes. The sender's own is not among them: it delivers to itself.
    Nodes(Arc<[NodeId]>),
    /// All nodes but this one, the sender.
    AllBut(NodeId),
}

/// A live event with its route.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where to.
    pub route: Route,
    /// What.
    pub event: LiveEvent,
}

/// Durable hand-over of entries to the writer; live routing of events to nodes.
///
/// # Contract
/// To be correct,
/// - an entry whose [`enqueue`](Self::enqueue) returned `Ok` is delivered to a consumer again and
///   again until its verdict is [`Verdict::Done`] or [`Verdict::Dead`], whatever consumer or broker
///   process dies meanwhile;
/// - a settled entry never comes again from its stream. Another stream may bring it once more, if entries
///   that were enqueued with it were not settled when its stream was dropped, or if the verdict was still
///   on its way then;
/// - while a consumer of a shard lives, no other is given entries of that shard; when a consumer's
///   stream is dropped, its unsettled deliveries go to the next;
/// - [`Verdict::Dead`] keeps the entry in a place of its own and delivers it no more, but for that;
/// - the durable queues are bounded; when one is full, `enqueue` fails with
///   [`ErrorKind::Busy`](crate::ErrorKind::Busy) and `retry_after`, and keeps nothing of the batch
///   that it can tell apart;
/// - a node's live queue is bounded and drops its oldest events when full: live routing may lose,
///   repeat and reorder;
/// - an event published before a node subscribed is not owed to it.
///
/// # Errors
/// `Unavailable` when the broker does not answer or does not confirm; `Busy` when a queue is full.
/// A failed `enqueue` may have kept some of its entries: they may be delivered, once or repeatedly.
///
/// # Cancellation
/// A dropped `enqueue` or `publish` may or may not have taken effect. Dropping a stream ends the
/// subscription.
///
/// # Ordering
/// Entries of one conversation are delivered in the order in which their `enqueue` calls completed,
/// where these did not overlap and nothing was delivered again. Live events have no order.
#[async_trait]
pub trait Broker: Debug + Send + Sync + 'static {
    /// Hands entries over for writing; returns when all are kept.
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()>;

    /// Becomes a writer: a stream of batches of at most `max_batch` deliveries, each as large as
    /// what waits. The stream ends when the connection is lost; consume again.
    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>>;

    /// Gives verdicts. A tag that is unknown, because its stream ended, is ignored: its delivery
    /// comes again.
    async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()>;

    /// How many entries are enqueued and not yet settled, roughly; 0 only if there are none.
    async fn backlog(&self) -> Result<u64>;

    /// Sends live events to nodes; returns when the broker has taken them.
    async fn publish(&self, publications: Vec<Publication>) -> Result<()>;

    /// Receives this node's live events, in batches as large as what waits. A node subscribes once
    /// at a time: a second subscription replaces the first. The stream ends when the connection is
    /// lost; subscribe again.
    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>>;
}
