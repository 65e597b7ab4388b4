//! A store that goes wrong.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;

use async_trait::async_trait;

use super::switchboard::{Faults, Port};
use crate::error::Result;
use crate::model::{ConversationId, Entry, EntryId, Marks, Members, MembersDelta, UserId};
use crate::ports::{Commit, Head, Inserted, MarkUpdate, Membership, Range, Relocated, Store};

/// A [`Store`] with [`Faults`].
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
}

impl FaultyStore {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    async fn around<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.faults.around(Port::Store, call).await
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>> {
        let insert = |entries| self.inner.insert(entries);
        self.faults.around_batch(Port::Store, entries, insert).await
    }

    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated> {
        self.around(self.inner.relocate(entry)).await
    }

    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        self.around(self.inner.page(conversation, range, limit))
            .await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.around(self.inner.find(conversation, id)).await
    }

    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()> {
        self.around(self.inner.open_direct(a, b)).await
    }

    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        self.around(self.inner.members(conversation)).await
    }

    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        self.around(self.inner.commit_members(delta, entry)).await
    }

    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.around(self.inner.unlogged(conversation)).await
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.around(self.inner.memberships(user)).await
    }

    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        let mark = |updates| self.inner.mark(updates);
        self.faults.around_batch(Port::Store, updates, mark).await
    }

    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.around(self.inner.marks(conversation)).await
    }

    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        let set_heads = |heads| self.inner.set_heads(heads);
        self.faults
            .around_batch(Port::Store, heads, set_heads)
            .await
    }

    async fn block(&self, user: UserId, other: UserId) -> Result<()> {
        self.around(self.inner.block(user, other)).await
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<()> {
        self.around(self.inner.unblock(user, other)).await
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>> {
        self.around(self.inner.blocks(user)).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool> {
        self.around(self.inner.blocked_between(a, b)).await
    }
}
