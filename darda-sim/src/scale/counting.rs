//! Ports that count what they are asked, and are ports themselves: the engine does not know.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use darda_core::Result;
use darda_core::model::{
    ConversationId, Entry, EntryId, Epoch, Marks, Members, MembersDelta, NodeId, Position,
    SessionId, UserId,
};
use darda_core::ports::{
    Append, Appended, Broker, Cache, Commit, Delivery, DeliveryTag, Head, Inserted, Lease,
    LiveEvent, MarkUpdate, Membership, Presence, Publication, Range, Recent, Relocated, Route,
    SessionRegistry, Settled, Store, Verdict,
};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::counts::{Counts, Op};

/// A port that counts.
#[derive(Debug)]
pub(super) struct Counting<P> {
    inner: Arc<P>,
    counts: Counts,
}

impl<P> Counting<P> {
    pub(super) fn new(inner: Arc<P>, counts: Counts) -> Self {
        Self { inner, counts }
    }
}

/// A node receives for as long as this lives.
struct Receiving {
    counts: Counts,
    node: NodeId,
}

impl Receiving {
    fn begin(counts: Counts, node: NodeId) -> Self {
        counts.begin_receiving(&node);
        Self { counts, node }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.counts.end_receiving(&self.node);
    }
}

#[async_trait]
impl<P: Broker> Broker for Counting<P> {
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()> {
        self.counts.note(Op::ENQUEUE, entries.len());
        self.inner.enqueue(entries).await
    }

    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        self.inner.consume(max_batch).await
    }

    async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        self.counts.note(Op::SETTLE_DELIVERIES, verdicts.len());
        self.inner.settle(verdicts).await
    }

    async fn backlog(&self) -> Result<u64> {
        self.counts.note(Op::BACKLOG, 0);
        self.inner.backlog().await
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<()> {
        self.counts.note(Op::PUBLISH, publications.len());
        // As the adapter for RabbitMQ does, but for the bounds of a message's size and of the routes
        // that it keeps in sight.
        let mut routes: Vec<&Route> = Vec::new();
        for publication in &publications {
            if !routes.contains(&&publication.route) {
                routes.push(&publication.route);
            }
        }
        let copies = routes.iter().map(|route| match route {
            Route::Nodes(nodes) => nodes.len(),
            Route::AllBut(_) => self.counts.receivers().saturating_sub(1),
        });
        let copies = copies.sum();
        self.counts.note_many(Op::LIVE_MESSAGES, routes.len(), 0);
        self.counts.note_many(Op::LIVE_COPIES, copies, 0);
        self.inner.publish(publications).await
    }

    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        self.counts.note(Op::SUBSCRIBE, 0);
        let stream = self.inner.subscribe(node.clone()).await?;
        let receiving = Receiving::begin(self.counts.clone(), node);
        let count = move |batch: &Result<Vec<LiveEvent>>| {
            if let Ok(events) = batch {
                let Receiving { counts, node } = &receiving;
                counts.note_received(node, events.len());
            }
        };
        Ok(stream.inspect(count).boxed())
    }
}

#[async_trait]
impl<P: Cache> Cache for Counting<P> {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.counts.note(Op::APPEND, 1);
        self.inner.append(append).await
    }

    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()> {
        self.counts.note(Op::RAISE_EPOCH, 1);
        self.inner.raise_epoch(conversation, epoch).await
    }

    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>> {
        self.counts.note(Op::EPOCHS, conversations.len());
        self.inner.epochs(conversations).await
    }

    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent> {
        let recent = self.inner.recent(conversation, range, limit).await?;
        self.counts.note(Op::RECENT, recent.entries.len());
        Ok(recent)
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.counts.note(Op::CACHE_FIND, 1);
        self.inner.find(conversation, id).await
    }

    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.counts.note(Op::CHANGES, 1);
        self.inner.changes(conversation).await
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        self.counts.note(Op::HEADS, conversations.len());
        self.inner.heads(conversations).await
    }

    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>> {
        self.counts.note(Op::LOST, entries.len());
        self.inner.lost(entries).await
    }

    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>> {
        self.counts.note(Op::SETTLE, entries.len());
        self.inner.settle(entries).await
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()> {
        self.counts.note(Op::WITHDRAW, 1);
        self.inner.withdraw(conversation, id, position).await
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        self.counts.note(Op::CLAIM_OVERDUE, 0);
        self.inner.claim_overdue(age, limit).await
    }

    async fn outbox_len(&self) -> Result<u64> {
        self.counts.note(Op::OUTBOX_LEN, 0);
        self.inner.outbox_len().await
    }
}

#[async_trait]
impl<P: SessionRegistry> SessionRegistry for Counting<P> {
    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn register(&self, node: NodeId, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        self.counts.note(Op::REGISTER, sessions.len());
        self.inner.register(node, sessions).await
    }

    async fn unregister(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        self.counts.note(Op::UNREGISTER, sessions.len());
        self.inner.unregister(sessions).await
    }

    async fn renew(&self, node: NodeId) -> Result<Lease> {
        self.counts.note(Op::RENEW, 1);
        self.inner.renew(node).await
    }

    async fn remove_node(&self, node: NodeId) -> Result<()> {
        self.counts.note(Op::REMOVE_NODE, 1);
        self.inner.remove_node(node).await
    }

    async fn nodes_of(&self, users: Vec<UserId>) -> Result<Vec<NodeId>> {
        self.counts.note(Op::NODES_OF, users.len());
        self.inner.nodes_of(users).await
    }

    async fn presence(&self, users: Vec<UserId>) -> Result<Vec<Presence>> {
        self.counts.note(Op::PRESENCE, users.len());
        self.inner.presence(users).await
    }
}

#[async_trait]
impl<P: Store> Store for Counting<P> {
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>> {
        self.counts.note(Op::INSERT, entries.len());
        self.inner.insert(entries).await
    }

    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated> {
        self.counts.note(Op::RELOCATE, 1);
        self.inner.relocate(entry).await
    }

    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        let page = self.inner.page(conversation, range, limit).await?;
        self.counts.note(Op::PAGE, page.len());
        Ok(page)
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.counts.note(Op::STORE_FIND, 1);
        self.inner.find(conversation, id).await
    }

    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()> {
        self.counts.note(Op::OPEN_DIRECT, 1);
        self.inner.open_direct(a, b).await
    }

    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        let members = self.inner.members(conversation).await?;
        let read = members.as_ref().map_or(0, |members| members.list.len());
        self.counts.note(Op::MEMBERS, read);
        Ok(members)
    }

    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        self.counts.note(Op::COMMIT_MEMBERS, 1);
        self.inner.commit_members(delta, entry).await
    }

    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.counts.note(Op::UNLOGGED, 1);
        self.inner.unlogged(conversation).await
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        let memberships = self.inner.memberships(user).await?;
        self.counts.note(Op::MEMBERSHIPS, memberships.len());
        Ok(memberships)
    }

    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        self.counts.note(Op::MARK, updates.len());
        self.inner.mark(updates).await
    }

    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.counts.note(Op::MARKS, 1);
        self.inner.marks(conversation).await
    }

    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        self.counts.note(Op::SET_HEADS, heads.len());
        self.inner.set_heads(heads).await
    }

    async fn block(&self, user: UserId, other: UserId) -> Result<()> {
        self.counts.note(Op::BLOCK, 1);
        self.inner.block(user, other).await
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<()> {
        self.counts.note(Op::BLOCK, 1);
        self.inner.unblock(user, other).await
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>> {
        self.counts.note(Op::BLOCKS, 1);
        self.inner.blocks(user).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool> {
        self.counts.note(Op::BLOCKED_BETWEEN, 1);
        self.inner.blocked_between(a, b).await
    }
}
