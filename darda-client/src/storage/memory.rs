//! A storage that outlives a client, not the process.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Change, Storage, Stored};
use crate::Result;

/// A storage that outlives a client, not the process. Clones share what they hold.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage(Arc<Mutex<Stored>>);

impl MemoryStorage {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn load(&self) -> Result<Stored> {
        Ok(self.0.lock().clone())
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<()> {
        let mut stored = self.0.lock();
        changes.into_iter().for_each(|change| stored.apply(change));
        Ok(())
    }
}
