//! What was acknowledged and is not known to be stored: the outbox, which a writer empties after it has
//! stored. Its own count says less, since a batch whose answer was lost comes again as repeats.

use std::sync::Arc;

use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::ports::Cache;
use tokio::runtime::Runtime;

use super::{BackEnds, connect};
use crate::Result;

/// Looks from outside: a writer that stands still cannot be asked.
pub(crate) struct Outbox {
    cache: Arc<dyn Cache>,
    // Goes last: the connection needs it.
    runtime: Runtime,
}

impl Outbox {
    pub(crate) fn of(back_ends: &BackEnds, namespace: &str) -> Result<Self> {
        let runtime = connect::runtime()?;
        let config = RedisConfig::new(&back_ends.redis).with_prefix(format!("{namespace}:"));
        let ports = runtime.block_on(RedisPorts::connect(config))?;
        Ok(Self {
            cache: ports.cache(),
            runtime,
        })
    }

    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.runtime.block_on(self.cache.outbox_len())?)
    }
}
