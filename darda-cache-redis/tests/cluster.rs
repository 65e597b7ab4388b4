//! The ports keep their contracts on a Redis Cluster, whose servers share the slots.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

mod support;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use darda_backends::{Redis, RedisCluster, or_skip};
use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::conformance::{Backend, Disturbed};
use darda_core::ports::{Cache, SessionRegistry};

use tokio::sync::OnceCell;

use support::{remove, shared};

const LEASE: Duration = Duration::from_secs(2);

/// One cluster for all cases. It ends with the process.
async fn cluster() -> Option<&'static (String, Vec<String>)> {
    static CLUSTER: OnceCell<Option<(String, Vec<String>)>> = OnceCell::const_new();
    static SERVERS: OnceLock<RedisCluster> = OnceLock::new();
    let start = || async {
        let mut cluster = or_skip(RedisCluster::start().await)?;
        let url = format!("redis+cluster://{}", cluster.addresses());
        let nodes = cluster.nodes().iter().map(Redis::url).collect();
        let _ = SERVERS.set(cluster);
        Some((url, nodes))
    };
    CLUSTER.get_or_init(start).await.as_ref()
}

/// Ports with short leases, and their prefix.
async fn ports(change: impl FnOnce(RedisConfig) -> RedisConfig) -> Backend<(RedisPorts, String)> {
    let Some((url, nodes)) = cluster().await else {
        return Backend::Missing("there are no servers to start a cluster of".to_owned());
    };
    let config = RedisConfig::new(url)
        .with_response_timeout(Duration::from_secs(10))
        .with_connect_timeout(Duration::from_secs(10));
    Backend::Ready(shared(nodes, change(config.with_lease(LEASE))).await)
}

fn ready<T, P>(
    backend: Backend<(RedisPorts, String)>,
    of: impl FnOnce(RedisPorts) -> P,
) -> Backend<T>
where
    P: Into<T>,
{
    match backend {
        Backend::Ready((ports, _)) => Backend::Ready(of(ports).into()),
        Backend::Missing(why) => Backend::Missing(why),
    }
}

fn forgetful<P: ?Sized>(
    backend: Backend<(RedisPorts, String)>,
    of: impl FnOnce(RedisPorts) -> Arc<P>,
) -> Backend<Disturbed<P>> {
    match backend {
        Backend::Ready((ports, prefix)) => Backend::Ready(Disturbed::new(of(ports), move || {
            let prefix = prefix.clone();
            Box::pin(async move { remove(&cluster().await.unwrap().1, &prefix).await })
        })),
        Backend::Missing(why) => Backend::Missing(why),
    }
}

mod cache {
    use super::*;

    async fn cache() -> Backend<Arc<dyn Cache>> {
        ready(ports(|config| config).await, |ports| {
            ports.cache() as Arc<dyn Cache>
        })
    }
    darda_core::cache_conformance!(cache);

    async fn bounded() -> Backend<Arc<dyn Cache>> {
        ready(
            ports(|config| config.with_outbox_limit(100)).await,
            |ports| ports.cache() as Arc<dyn Cache>,
        )
    }
    darda_core::cache_bounds_conformance!(bounded);

    async fn losing() -> Backend<Disturbed<dyn Cache>> {
        forgetful(ports(|config| config).await, |ports| {
            ports.cache() as Arc<dyn Cache>
        })
    }
    darda_core::cache_loss_conformance!(losing);
}

mod registry {
    use super::*;

    async fn registry() -> Backend<Arc<dyn SessionRegistry>> {
        ready(ports(|config| config).await, |ports| {
            ports.registry() as Arc<dyn SessionRegistry>
        })
    }
    darda_core::registry_conformance!(registry);

    async fn losing() -> Backend<Disturbed<dyn SessionRegistry>> {
        forgetful(ports(|config| config).await, |ports| {
            ports.registry() as Arc<dyn SessionRegistry>
        })
    }
    darda_core::registry_loss_conformance!(losing);
}
