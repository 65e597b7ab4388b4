//! Listens in on what goes live to all nodes of a system.

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::runtime::Runtime;

use super::{BackEnds, System, connect};
use crate::Result;

/// A queue of our own beside those of the nodes, from which nothing is taken.
pub(crate) struct Tap {
    queue: ShortString,
    channel: Channel,
    // The queue goes with its connection, which needs the runtime.
    _rabbit: Connection,
    runtime: Runtime,
}

impl Tap {
    /// Hears what comes from now on.
    pub(crate) fn of(system: &System, back_ends: &BackEnds) -> Result<Self> {
        let runtime = connect::runtime()?;
        let exchange = format!("{}.live.all", system.namespace());
        let (rabbit, channel, queue) = runtime.block_on(async {
            let rabbit = connect::rabbit(&back_ends.amqp).await?;
            let channel = rabbit.create_channel().await?;
            let options = QueueDeclareOptions {
                exclusive: true,
                ..QueueDeclareOptions::default()
            };
            let queue = channel
                .queue_declare("".into(), options, FieldTable::default())
                .await?;
            let queue = queue.name().clone();
            let (bind, nothing) = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(queue.clone(), exchange.into(), "".into(), bind, nothing)
                .await?;
            Result::Ok((rabbit, channel, queue))
        })?;
        Ok(Self {
            queue,
            channel,
            _rabbit: rabbit,
            runtime,
        })
    }

    /// Messages so far.
    pub(crate) fn heard(&self) -> Result<u64> {
        let depth = connect::depth(&self.channel, self.queue.clone());
        self.runtime.block_on(depth)
    }
}
