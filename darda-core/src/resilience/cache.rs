//! A cache that holds out.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::breaker::Breaker;
use super::policy::Policy;
use super::settings::Resilience;
use crate::error::Result;
use crate::model::{ConversationId, Entry, EntryId, Epoch, Position};
use crate::ports::{Append, Appended, Cache, Head, Range, Recent, Settled};

/// A [`Cache`] with [`Resilience`].
#[derive(Debug)]
pub struct ResilientCache {
    inner: Arc<dyn Cache>,
    policy: Policy,
}

impl ResilientCache {
    /// Wraps a cache.
    #[must_use]
    pub fn new(inner: Arc<dyn Cache>, settings: &Resilience) -> Self {
        let policy = Policy::new("cache", settings);
        Self { inner, policy }
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        self.policy.breaker().clone()
    }
}

#[async_trait]
impl Cache for ResilientCache {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.policy
            .repeat(|| self.inner.append(append.clone()))
            .await
    }

    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()> {
        self.policy
            .repeat(|| self.inner.raise_epoch(conversation, epoch))
            .await
    }

    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>> {
        self.policy
            .repeat(|| self.inner.epochs(conversations.clone()))
            .await
    }

    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent> {
        self.policy
            .repeat(|| self.inner.recent(conversation, range, limit))
            .await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.policy
            .repeat(|| self.inner.find(conversation, id))
            .await
    }

    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.policy
            .repeat(|| self.inner.changes(conversation))
            .await
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        self.policy
            .repeat(|| self.inner.heads(conversations.clone()))
            .await
    }

    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>> {
        self.policy
            .repeat(|| self.inner.lost(entries.clone()))
            .await
    }

    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>> {
        self.policy
            .repeat(|| self.inner.settle(entries.clone()))
            .await
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()> {
        self.policy
            .repeat(|| self.inner.withdraw(conversation, id, position))
            .await
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        self.policy.once(self.inner.claim_overdue(age, limit)).await
    }

    async fn outbox_len(&self) -> Result<u64> {
        self.policy.repeat(|| self.inner.outbox_len()).await
    }
}
