//! The one file that names the adapters: what the settings say becomes four ports.

use std::sync::Arc;
use std::time::Duration;

use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use darda_core::ports::{Broker, Cache, SessionRegistry, Store};
use darda_core::{Chat, Ports, Result};
use darda_server::settings::{BackEnds, Place, Server};
use darda_store_mongo::{MongoConfig, MongoStore};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use tokio::time::{Instant, sleep};

/// How often a node looks whether the servers that it waits for have come.
const LOOK: Duration = Duration::from_millis(250);

/// The ports that the settings name. A server that is away is no error: the port connects by itself.
pub(crate) async fn open(back_ends: &BackEnds) -> Result<Ports> {
    let broker: Arc<dyn Broker> = match &back_ends.broker {
        Place::Memory => Arc::new(MemoryBroker::new()),
        Place::Server(server) => {
            let config = RabbitConfig::new(&server.url)
                .with_tls(server.tls.clone())
                .with_prefix(&back_ends.namespace)
                .with_persist_queues(back_ends.persist_queues);
            Arc::new(RabbitBroker::connect(config).await?)
        }
    };
    let store: Arc<dyn Store> = match &back_ends.store {
        Place::Memory => Arc::new(MemoryStore::new()),
        Place::Server(server) => {
            let config =
                MongoConfig::new(&server.url, &back_ends.namespace).with_tls(server.tls.clone());
            Arc::new(MongoStore::connect(config).await?)
        }
    };
    let (cache, beside): (Arc<dyn Cache>, Arc<dyn SessionRegistry>) = match &back_ends.cache {
        Place::Memory => (
            Arc::new(MemoryCache::new()),
            Arc::new(MemoryRegistry::new()),
        ),
        Place::Server(server) => {
            let redis = redis(server, &back_ends.namespace).await?;
            (redis.cache(), redis.registry())
        }
    };
    let registry: Arc<dyn SessionRegistry> = match &back_ends.registry {
        None => beside,
        Some(Place::Memory) => Arc::new(MemoryRegistry::new()),
        Some(Place::Server(server)) => redis(server, &back_ends.namespace).await?.registry(),
    };
    Ok(Ports::new(broker, store, cache, registry))
}

async fn redis(server: &Server, namespace: &str) -> Result<RedisPorts> {
    let config = RedisConfig::new(&server.url)
        .with_tls(server.tls.clone())
        .with_prefix(format!("{namespace}:"));
    RedisPorts::connect(config).await
}

/// Waits until every port answers, at most for `patience`, and says of each what came of it.
pub(crate) async fn await_servers(chat: &Chat, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut there = Vec::new();
    loop {
        let health = chat.health().await;
        for port in health.iter().filter(|port| port.ok) {
            if !there.contains(&port.port) {
                tracing::info!(port = port.port, "is there");
                there.push(port.port);
            }
        }
        let away = || health.iter().filter(|port| !port.ok);
        if away().next().is_none() {
            return;
        }
        if Instant::now() >= deadline {
            for port in away() {
                let (port, detail) = (port.port, &port.detail);
                tracing::warn!(port, detail, "is away: starting without it");
            }
            return;
        }
        sleep(LOOK).await;
    }
}
