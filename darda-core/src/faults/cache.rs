//! A cache that goes wrong.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::switchboard::{Faults, Port};
use crate::error::Result;
use crate::model::{ConversationId, Entry, EntryId, Epoch, Position};
use crate::ports::{Append, Appended, Cache, Head, Range, Recent, Settled};

/// A [`Cache`] with [`Faults`].
#[derive(Debug)]
pub struct FaultyCache {
    inner: Arc<dyn Cache>,
    faults: Faults,
}

impl FaultyCache {
    /// Wraps a cache.
    #[must_use]
    pub fn new(inner: Arc<dyn Cache>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    async fn around<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.faults.around(Port::Cache, call).await
    }
}

#[async_trait]
impl Cache for FaultyCache {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.around(self.inner.append(append)).await
    }

    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()> {
        self.around(self.inner.raise_epoch(conversation, epoch))
            .await
    }

    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>> {
        self.around(self.inner.epochs(conversations)).await
    }

    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent> {
        self.around(self.inner.recent(conversation, range, limit))
            .await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.around(self.inner.find(conversation, id)).await
    }

    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.around(self.inner.changes(conversation)).await
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        self.around(self.inner.heads(conversations)).await
    }

    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>> {
        self.around(self.inner.lost(entries)).await
    }

    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>> {
        let settle = |entries| self.inner.settle(entries);
        self.faults.around_batch(Port::Cache, entries, settle).await
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()> {
        self.around(self.inner.withdraw(conversation, id, position))
            .await
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        self.around(self.inner.claim_overdue(age, limit)).await
    }

    async fn outbox_len(&self) -> Result<u64> {
        self.around(self.inner.outbox_len()).await
    }
}
