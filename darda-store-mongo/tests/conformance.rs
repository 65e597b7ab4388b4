//! The store keeps its port's contract, on a real server.

#![allow(clippy::unwrap_used, clippy::panic)] // a fixture that cannot be made fails its test

mod support;

use std::sync::Arc;

use darda_backends::{Mongo, MongoOptions, StartError};
use darda_core::conformance::{Backend, Disturbed};
use darda_core::ports::Store;
use tokio::sync::Mutex;

mod store {
    use super::*;

    async fn store() -> Backend<Arc<dyn Store>> {
        match support::url() {
            Some(url) => Backend::Ready(Arc::new(support::ready(support::config(&url)).await)),
            None => Backend::Missing(support::MISSING.into()),
        }
    }
    darda_core::store_conformance!(store);
}

mod restart {
    use super::*;

    /// The server and what keeps its data are killed, and started again.
    async fn killed() -> Backend<Disturbed<dyn Store>> {
        let mongo = match Mongo::start(MongoOptions::default()).await {
            Ok(mongo) => mongo,
            Err(StartError::Missing(why)) => return Backend::Missing(why),
            Err(error) => panic!("{error}"),
        };
        let config = darda_store_mongo::MongoConfig::new(mongo.url(), support::database_name());
        let store = Arc::new(support::ready(config).await);
        let mongo = Arc::new(Mutex::new(mongo));
        Backend::Ready(Disturbed::new(store, move || {
            let mongo = mongo.clone();
            Box::pin(async move {
                let mut mongo = mongo.lock().await;
                mongo.server().kill().await;
                mongo.keeper().kill().await;
                mongo.start_again().await.unwrap();
            })
        }))
    }
    darda_core::store_restart_conformance!(killed);
}
