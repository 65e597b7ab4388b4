//! What one run keeps on the servers, under a name of its own, and its end.

use std::sync::atomic::{AtomicU32, Ordering};

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

use super::{BackEnds, connect};
use crate::Result;
use crate::report::say;

/// Durable queues of a system, as `DARDA_PERSIST_QUEUES` is by default.
const QUEUES: u16 = 8;
/// Keys looked at and dropped at once.
const KEYS: usize = 1_000;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// A name that begins the names of queues and keys and is that of a database. What is called so goes
/// with this value.
pub(crate) struct Namespace {
    name: String,
    back_ends: BackEnds,
}

impl Namespace {
    /// A new one.
    pub(crate) fn new(back_ends: &BackEnds) -> Self {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("bench-{}-{run}", std::process::id()),
            back_ends: back_ends.clone(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    async fn clean(&self) -> Result<()> {
        let keys = self.drop_keys().await;
        let queues = self.delete_queues().await;
        let database = self.drop_database().await;
        keys.and(queues).and(database)
    }

    async fn drop_keys(&self) -> Result<()> {
        let mut redis = connect::redis(&self.back_ends.redis).await?;
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("{}*", self.name))
                .arg("COUNT")
                .arg(KEYS)
                .query_async(&mut redis)
                .await?;
            if !keys.is_empty() {
                let () = redis::cmd("UNLINK")
                    .arg(keys)
                    .query_async(&mut redis)
                    .await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn delete_queues(&self) -> Result<()> {
        let rabbit = connect::rabbit(&self.back_ends.amqp).await?;
        let channel = rabbit.create_channel().await?;
        for queue in persist_queues(&self.name).chain([format!("{}.dead", self.name)]) {
            // To delete what is not there is no error.
            channel
                .queue_delete(queue.into(), QueueDeleteOptions::default())
                .await?;
        }
        for exchange in ["live", "live.all", "dead"] {
            let exchange = format!("{}.{exchange}", self.name);
            channel
                .exchange_delete(exchange.into(), ExchangeDeleteOptions::default())
                .await?;
        }
        rabbit.close(200, "done".into()).await?;
        Ok(())
    }

    async fn drop_database(&self) -> Result<()> {
        let client = mongodb::Client::with_uri_str(&self.back_ends.mongo).await?;
        Ok(client.database(&self.name).drop().await?)
    }
}

/// The names of the durable queues.
pub(super) fn persist_queues(namespace: &str) -> impl Iterator<Item = String> {
    (0..QUEUES).map(move |queue| format!("{namespace}.persist.{queue}"))
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let cleaned = connect::runtime().and_then(|runtime| runtime.block_on(self.clean()));
        if let Err(error) = cleaned {
            say(&format!("{} is not cleaned up: {error}", self.name));
        }
    }
}
