//! The one file that names the adapters: what the settings say becomes four ports.

use std::sync::Arc;
use std::time::Duration;

use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use darda_core::ports::{Broker, Cache, SessionRegistry, Store};
use darda_core::resilience::Resilience;
use darda_core::{Chat, Ports, Result};
use darda_server::settings::{BackEnds, Place, Server};
use darda_store_mongo::{MongoConfig, MongoStore};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use tokio::time::{Instant, sleep};

/// How often a node looks whether the servers that it waits for have come.
const LOOK: Duration = Duration::from_millis(250);

/// The ports that the settings name. A server that is away is no error: the port connects by itself.
pub(crate) async fn open(back_ends: &BackEnds, resilience: &Resilience) -> Result<Ports> {
    let longer = longer(resilience);
    let namespace = &back_ends.namespace;
    let broker: Arc<dyn Broker> = match &back_ends.broker {
        Place::Memory => Arc::new(MemoryBroker::new()),
        Place::Server(server) => {
            let config =
                rabbit(server, namespace, longer).with_persist_queues(back_ends.persist_queues);
            Arc::new(RabbitBroker::connect(config).await?)
        }
    };
    let store: Arc<dyn Store> = match &back_ends.store {
        Place::Memory => Arc::new(MemoryStore::new()),
        Place::Server(server) => {
            let config = mongo(server, namespace, longer);
            Arc::new(MongoStore::connect(config).await?)
        }
    };
    let (cache, beside): (Arc<dyn Cache>, Arc<dyn SessionRegistry>) = match &back_ends.cache {
        Place::Memory => (
            Arc::new(MemoryCache::new()),
            Arc::new(MemoryRegistry::new()),
        ),
        Place::Server(server) => {
            let redis = RedisPorts::connect(redis(server, namespace, longer)).await?;
            (redis.cache(), redis.registry())
        }
    };
    let registry: Arc<dyn SessionRegistry> = match &back_ends.registry {
        None => beside,
        Some(Place::Memory) => Arc::new(MemoryRegistry::new()),
        Some(Place::Server(server)) => {
            let redis = RedisPorts::connect(redis(server, namespace, longer)).await?;
            redis.registry()
        }
    };
    Ok(Ports::new(broker, store, cache, registry))
}

/// The time of a call, if it is longer than usual. The usual one the adapters grant by themselves; of
/// a longer one they must be told, or they would cut it off.
fn longer(resilience: &Resilience) -> Option<Duration> {
    let usual = Resilience::default().timeout;
    Some(resilience.timeout).filter(|timeout| *timeout > usual)
}

fn rabbit(server: &Server, namespace: &str, longer: Option<Duration>) -> RabbitConfig {
    let config = RabbitConfig::new(&server.url)
        .with_tls(server.tls.clone())
        .with_prefix(namespace);
    match longer {
        Some(timeout) => config.with_confirm_timeout(timeout),
        None => config,
    }
}

fn mongo(server: &Server, namespace: &str, longer: Option<Duration>) -> MongoConfig {
    let config = MongoConfig::new(&server.url, namespace).with_tls(server.tls.clone());
    match longer {
        Some(timeout) => config.with_operation_timeout(timeout),
        None => config,
    }
}

fn redis(server: &Server, namespace: &str, longer: Option<Duration>) -> RedisConfig {
    let config = RedisConfig::new(&server.url)
        .with_tls(server.tls.clone())
        .with_prefix(format!("{namespace}:"));
    match longer {
        Some(timeout) => config.with_response_timeout(timeout),
        None => config,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_may_take_longer_than_usual_the_adapters_grant() {
        let server = Server {
            url: "redis://localhost".to_owned(),
            tls: Default::default(),
        };
        let shown = |timeout| {
            let longer = longer(&Resilience::default().with_timeout(timeout));
            [
                format!("{:?}", rabbit(&server, "x", longer)),
                format!("{:?}", mongo(&server, "x", longer)),
                format!("{:?}", redis(&server, "x", longer)),
            ]
        };
        let limits = ["confirm_timeout", "operation_timeout", "response_timeout"];
        for (config, limit) in shown(Duration::from_secs(9)).iter().zip(limits) {
            assert!(config.contains(&format!("{limit}: 9s")), "{config}");
        }
        let usual = Resilience::default().timeout;
        assert_eq!(shown(usual), shown(usual / 2));
        for (config, time) in shown(usual).iter().zip([5, 4, 2]) {
            assert!(config.contains(&format!("_timeout: {time}s")), "{config}");
        }
    }
}
