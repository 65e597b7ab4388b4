//! The in-memory ports keep the ports' contracts.

#![cfg(all(feature = "conformance", feature = "faults"))]

use std::sync::Arc;
use std::time::Duration;

use darda_core::conformance::{Backend, Disturbed};
use darda_core::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use darda_core::ports::{Broker, Cache, SessionRegistry, Store};

const LEASE: Duration = Duration::from_millis(400);

mod cache {
    use super::*;

    async fn cache() -> Backend<Arc<dyn Cache>> {
        Backend::Ready(Arc::new(MemoryCache::new()))
    }
    darda_core::cache_conformance!(cache);

    async fn bounded() -> Backend<Arc<dyn Cache>> {
        Backend::Ready(Arc::new(MemoryCache::new().with_outbox_limit(100)))
    }
    darda_core::cache_bounds_conformance!(bounded);

    async fn forgetful() -> Backend<Disturbed<dyn Cache>> {
        let cache = Arc::new(MemoryCache::new());
        let forgetful = cache.clone();
        Backend::Ready(Disturbed::new(cache, move || {
            forgetful.lose_memory();
            Box::pin(std::future::ready(()))
        }))
    }
    darda_core::cache_loss_conformance!(forgetful);
}

mod store {
    use super::*;

    async fn store() -> Backend<Arc<dyn Store>> {
        Backend::Ready(Arc::new(MemoryStore::new()))
    }
    darda_core::store_conformance!(store);

    /// It dies with the process, so there is nothing to disturb.
    async fn undisturbed() -> Backend<Disturbed<dyn Store>> {
        let store = Arc::new(MemoryStore::new());
        Backend::Ready(Disturbed::new(store, || Box::pin(std::future::ready(()))))
    }
    darda_core::store_restart_conformance!(undisturbed);
}

mod broker {
    use super::*;

    async fn broker() -> Backend<Arc<dyn Broker>> {
        Backend::Ready(Arc::new(MemoryBroker::new()))
    }
    darda_core::broker_conformance!(broker);

    async fn bounded() -> Backend<Arc<dyn Broker>> {
        Backend::Ready(Arc::new(
            MemoryBroker::new()
                .with_queue_limit(100)
                .with_live_limit(100),
        ))
    }
    darda_core::broker_bounds_conformance!(bounded);

    async fn restarting() -> Backend<Disturbed<dyn Broker>> {
        let broker = Arc::new(MemoryBroker::new());
        let restarting = broker.clone();
        Backend::Ready(Disturbed::new(broker, move || {
            restarting.restart();
            Box::pin(std::future::ready(()))
        }))
    }
    darda_core::broker_restart_conformance!(restarting);
}

mod registry {
    use super::*;

    async fn registry() -> Backend<Arc<dyn SessionRegistry>> {
        Backend::Ready(Arc::new(MemoryRegistry::new().with_lease(LEASE)))
    }
    darda_core::registry_conformance!(registry);

    async fn forgetful() -> Backend<Disturbed<dyn SessionRegistry>> {
        let registry = Arc::new(MemoryRegistry::new().with_lease(LEASE));
        let forgetful = registry.clone();
        Backend::Ready(Disturbed::new(registry, move || {
            forgetful.lose_memory();
            Box::pin(std::future::ready(()))
        }))
    }
    darda_core::registry_loss_conformance!(forgetful);
}
