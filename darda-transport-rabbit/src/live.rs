//! A node's stream of live events.

use std::collections::HashMap;

use darda_core::Result;
use darda_core::model::NodeId;
use darda_core::ports::LiveEvent;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::connection::Dialer;
use crate::error::from_driver;
use crate::packing::unpack;
use crate::topology::declare_live;

/// Messages on their way to the node: what is slower than that waits in the queue, which is bounded.
const PREFETCH: u16 = 64;

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
        let connection = dialer.dial("subscriber").await?;
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
        let batches = consumer.ready_chunks(usize::from(prefetch));
        let state = (batches, channel, connection, node, None);
        let events = stream::unfold(Some(state), async |state| {
            let (mut batches, channel, connection, node, mut last) = state?;
            loop {
                // Once what came with it is dealt with, so that nobody waits for the acknowledgement.
                if let Some(last) = last.take() {
                    let all = BasicAckOptions { multiple: true };
                    if let Err(error) = channel.basic_ack(last, all).await {
                        return Some((Err(from_driver(error)), None));
                    }
                }
                let batch = batches.next().await?;
                let mut events = Vec::new();
                for delivery in batch {
                    let delivery = match delivery {
                        Ok(delivery) => delivery,
                        Err(error) => return Some((Err(from_driver(error)), None)),
                    };
                    last = Some(delivery.delivery_tag);
                    let sender = delivery.properties.app_id().as_ref();
                    if sender.is_none_or(|sender| sender.as_str() != node.as_str()) {
                        unpack(&delivery.data, &mut events);
                    }
                }
                if !events.is_empty() {
                    let state = (batches, channel, connection, node, last);
                    return Some((Ok(events), Some(state)));
                }
            }
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
