//! What a system's queues and its servers hold at a moment.

use lapin::{Channel, Connection};
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;

use super::namespace::persist_queues;
use super::{BackEnds, System, connect};
use crate::Result;

/// Looks from outside: a node that stands still cannot be asked.
pub(crate) struct Probe {
    queues: Vec<String>,
    channel: Channel,
    redis: MultiplexedConnection,
    // Goes last: the connections need it.
    _rabbit: Connection,
    runtime: Runtime,
}

impl Probe {
    pub(crate) fn of(system: &System, back_ends: &BackEnds) -> Result<Self> {
        let runtime = connect::runtime()?;
        let (rabbit, channel, redis) = runtime.block_on(async {
            let rabbit = connect::rabbit(&back_ends.amqp).await?;
            let channel = rabbit.create_channel().await?;
            Result::Ok((rabbit, channel, connect::redis(&back_ends.redis).await?))
        })?;
        Ok(Self {
            queues: persist_queues(system.namespace()).collect(),
            channel,
            redis,
            _rabbit: rabbit,
            runtime,
        })
    }

    /// Messages in the durable queues that no writer has been handed.
    pub(crate) fn queued(&self) -> Result<u64> {
        let depths = self.queues.iter().map(|queue| {
            let depth = connect::depth(&self.channel, queue.as_str().into());
            self.runtime.block_on(depth)
        });
        depths.sum()
    }

    /// What Redis holds in all, in KiB.
    pub(crate) fn redis_memory(&mut self) -> Result<u64> {
        let mut info = redis::cmd("INFO");
        let asked = info.arg("memory").query_async(&mut self.redis);
        let text: String = self.runtime.block_on(asked)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        let bytes: u64 = line.ok_or("no used_memory of Redis")?.trim().parse()?;
        Ok(bytes / 1024)
    }
}
