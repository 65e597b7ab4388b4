//! The ports on Redis keep their contracts.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::conformance::{Backend, Disturbed};
use darda_core::ports::{Cache, SessionRegistry};

use support::{MISSING, remove, shared, url};

const LEASE: Duration = Duration::from_secs(2);

/// Ports with a small outbox and short leases, and how they lose their memory.
async fn ports(change: impl FnOnce(RedisConfig) -> RedisConfig) -> Backend<(RedisPorts, String)> {
    let Some(url) = url() else {
        return Backend::Missing(MISSING.to_owned());
    };
    let config = change(RedisConfig::new(&url).with_lease(LEASE));
    Backend::Ready(shared(&[url], config).await)
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
            Box::pin(async move { remove(&[url().unwrap()], &prefix).await })
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
