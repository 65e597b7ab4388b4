//! A node's stream of live events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use darda_core::Result;
use darda_core::model::NodeId;
use darda_core::ports::LiveEvent;
use futures::stream::{BoxStream, ReadyChunks};
use futures::{StreamExt, stream};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Dialer};
use crate::error::from_driver;
use crate::packing::unpack;
use crate::topology::{Purpose, declare_live};

/// Messages on their way to the node: what is slower than that waits in the queue, which is bounded.
const PREFETCH: u16 = 64;
/// How long a delivery may go unacknowledged where few come: each one's acknowledgement would be as much
/// work for the server as the delivery.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(100);

/// Who subscribes as which node, so that a second subscription can end the first.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    current: Mutex<HashMap<NodeId, CancellationToken>>,
}

impl Subscriptions {
    pub(crate) async fn open(
        &self,
        dialer: &Dialer,
        node: NodeId,
        number: u64,
    ) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        let connection = dialer.dial(Purpose::Subscriber).await?;
        let channel = connection.channel().await?;
        let (names, limit) = (dialer.names(), dialer.config().live_limit);
        let queue = names.live_of(&node, number);
        declare_live(&channel, names, &node, &queue, limit)
            .await
            .map_err(from_driver)?;
        let prefetch = PREFETCH.min(u16::try_from(limit).unwrap_or(PREFETCH).max(1));
        let qos = BasicQosOptions::default();
        channel
            .basic_qos(prefetch, qos)
            .await
            .map_err(from_driver)?;
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
            .map_err(from_driver)?;

        let replaced = CancellationToken::new();
        if let Some(before) = self.current.lock().insert(node.clone(), replaced.clone()) {
            before.cancel();
        }
        let dead = connection.dead().clone();
        let reading = Reading {
            batches: consumer.ready_chunks(usize::from(prefetch)),
            due: Due {
                channel,
                most: u64::from(prefetch.div_ceil(2)),
                acknowledged: 0,
                last: 0,
                by: Instant::now(),
            },
            node,
            _connection: connection,
        };
        let events = stream::try_unfold(reading, async |mut reading| {
            let events = reading.next().await?;
            Ok(events.map(|events| (events, reading)))
        });
        let ended = async move {
            tokio::select! {
                () = dead.cancelled() => {}
                () = replaced.cancelled() => {}
            }
        };
        Ok(events.take_until(ended).boxed())
    }
}

struct Reading {
    batches: ReadyChunks<Consumer>,
    due: Due,
    node: NodeId,
    _connection: Arc<Connection>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Vec<LiveEvent>>> {
        loop {
            let batch = tokio::select! {
                biased;
                // What came before is dealt with by now.
                () = self.due.time() => {
                    self.due.acknowledge().await?;
                    continue;
                }
                batch = self.batches.next() => batch,
            };
            let Some(batch) = batch else { return Ok(None) };
            let mut events = Vec::new();
            for delivery in batch {
                let delivery = delivery.map_err(from_driver)?;
                self.due.add(delivery.delivery_tag);
                let sender = delivery.properties.app_id().as_ref();
                if sender.is_none_or(|sender| sender.as_str() != self.node.as_str()) {
                    unpack(&delivery.data, &mut events);
                }
            }
            if !events.is_empty() {
                return Ok(Some(events));
            }
        }
    }
}

/// Deliveries that are to be acknowledged. Tags count from 1.
struct Due {
    channel: Channel,
    /// So many do not wait for more.
    most: u64,
    acknowledged: u64,
    last: u64,
    by: Instant,
}

impl Due {
    fn add(&mut self, delivery: u64) {
        if self.last == self.acknowledged {
            self.by = Instant::now() + ACKNOWLEDGED_WITHIN;
        }
        self.last = delivery;
    }

    /// Comes when they should be acknowledged.
    async fn time(&self) {
        match self.last - self.acknowledged {
            0 => std::future::pending().await,
            count if count >= self.most => {}
            _ => sleep_until(self.by).await,
        }
    }

    async fn acknowledge(&mut self) -> Result<()> {
        let all = BasicAckOptions { multiple: true };
        let acked = self.channel.basic_ack(self.last, all).await;
        acked.map_err(from_driver)?;
        self.acknowledged = self.last;
        Ok(())
    }
}
