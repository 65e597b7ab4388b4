//! The store by itself, without a node.

use darda_store_mongo::{MongoConfig, MongoStore};

use super::BackEnds;
use crate::Result;
use crate::client::PATIENCE;

/// The store that a system of this namespace writes to. What is slow is to be measured, not cut off.
pub(crate) async fn store(back_ends: &BackEnds, namespace: &str) -> Result<MongoStore> {
    let config = MongoConfig::new(&back_ends.mongo, namespace).with_operation_timeout(PATIENCE);
    Ok(MongoStore::connect(config).await?)
}
