//! Both ports over the same connection.

use std::sync::Arc;

use darda_core::Result;
use darda_core::model::ConversationId;
use darda_core::ports::Cache;

use crate::cache::RedisCache;
use crate::config::RedisConfig;
use crate::connection::Connection;
use crate::error::invalid;
use crate::keys::Keys;
use crate::registry::RedisRegistry;

/// Both ports over the same connection. Cheap to clone.
///
/// Nothing that the ports do blocks the connection, so that there is one for each process: to the
/// server, or to each server of a cluster.
#[derive(Debug, Clone)]
pub struct RedisPorts {
    connection: Arc<Connection>,
    cache: Arc<RedisCache>,
    registry: Arc<RedisRegistry>,
}

impl RedisPorts {
    /// Connects. A server that is away now is no error: the ports are `Unavailable` until it is
    /// there, and connect by themselves. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Invalid` if the URL, the prefix or a certificate cannot be used.
    pub async fn connect(config: RedisConfig) -> Result<Self> {
        if config.prefix.contains(['{', '}']) {
            return Err(invalid("the prefix of redis' keys holds a brace"));
        }
        let connection = Arc::new(Connection::start(&config).await?);
        let keys = Keys::new(&config.prefix);
        Ok(Self {
            cache: Arc::new(RedisCache::new(connection.clone(), keys.clone(), &config)),
            registry: Arc::new(RedisRegistry::new(connection.clone(), keys, config.lease)),
            connection,
        })
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> Arc<RedisCache> {
        self.cache.clone()
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<RedisRegistry> {
        self.registry.clone()
    }

    /// Asks whether Redis answers.
    ///
    /// # Errors
    /// `Unavailable` while it does not.
    pub async fn ping(&self) -> Result<()> {
        // Through a script, as every call is.
        let any = ConversationId::from_bytes([0; 16]);
        self.cache.epochs(vec![any]).await.map(drop)
    }

    /// Ends the connection of both ports. Calls fail as `Closed` from now on.
    pub async fn close(&self) {
        self.connection.close().await;
    }
}
