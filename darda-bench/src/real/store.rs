//! The store by itself, without a node.

use darda_store_mongo::{MongoConfig, MongoStore};

use super::BackEnds;
use super::connect::PATIENCE;
use crate::Result;

/// The store that a system of this namespace writes to.
pub(crate) async fn store(back_ends: &BackEnds, namespace: &str) -> Result<MongoStore> {
    let config = MongoConfig::new(&back_ends.mongo, namespace).with_operation_timeout(PATIENCE);
    Ok(MongoStore::connect(config).await?)
}
