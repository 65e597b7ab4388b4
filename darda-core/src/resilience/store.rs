//! A store that holds out.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;

use async_trait::async_trait;

use super::breaker::Breaker;
use super::policy::Policy;
use super::settings::Resilience;
use crate::error::Result;
use crate::model::{ConversationId, Entry, EntryId, Marks, Members, MembersDelta, UserId};
use crate::ports::{Commit, Head, Inserted, MarkUpdate, Membership, Range, Relocated, Store};

/// A [`Store`] with [`Resilience`].
#[derive(Debug)]
pub struct ResilientStore {
    inner: Arc<dyn Store>,
    policy: Policy,
}

impl ResilientStore {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, settings: &Resilience) -> Self {
        let policy = Policy::new("store", settings).with_turns(settings.store_calls);
        Self { inner, policy }
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        self.policy.breaker().clone()
    }
}

#[async_trait]
impl Store for ResilientStore {
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>> {
        self.policy
            .repeat(|| self.inner.insert(entries.clone()))
            .await
    }

    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated> {
        self.policy
            .repeat(|| self.inner.relocate(entry.clone()))
            .await
    }

    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        self.policy
            .repeat(|| self.inner.page(conversation, range, limit))
            .await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.policy
            .repeat(|| self.inner.find(conversation, id))
            .await
    }

    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()> {
        self.policy
            .repeat(|| self.inner.open_direct(a.clone(), b.clone()))
            .await
    }

    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        self.policy
            .repeat(|| self.inner.members(conversation))
            .await
    }

    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        self.policy
            .repeat(|| self.inner.commit_members(delta.clone(), entry.clone()))
            .await
    }

    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.policy
            .repeat(|| self.inner.unlogged(conversation))
            .await
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.policy
            .repeat(|| self.inner.memberships(user.clone()))
            .await
    }

    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        self.policy
            .repeat(|| self.inner.mark(updates.clone()))
            .await
    }

    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.policy.repeat(|| self.inner.marks(conversation)).await
    }

    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        self.policy
            .repeat(|| self.inner.set_heads(heads.clone()))
            .await
    }

    async fn block(&self, user: UserId, other: UserId) -> Result<()> {
        self.policy
            .repeat(|| self.inner.block(user.clone(), other.clone()))
            .await
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<()> {
        self.policy
            .repeat(|| self.inner.unblock(user.clone(), other.clone()))
            .await
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>> {
        self.policy.repeat(|| self.inner.blocks(user.clone())).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool> {
        self.policy
            .repeat(|| self.inner.blocked_between(a.clone(), b.clone()))
            .await
    }
}
