//! The in-memory store: maps that grow with the log, as a durable log does.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::{MAX_BLOCKS_PER_USER, MAX_CONVERSATIONS_PER_USER, MAX_UNLOGGED_CHANGES};
use crate::model::{
    ConversationId, Entry, EntryId, Epoch, Marks, Members, MembersDelta, Position, UserId,
};
use crate::ports::{Commit, Head, Inserted, MarkUpdate, Membership, Range, Relocated, Store};

const SHARDS: usize = 64;
/// Applied changes of a conversation that are recognised.
const REMEMBERED_CHANGES: usize = 128;

/// The [`Store`] in memory. It grows without bound, and its death is the process's.
#[derive(Debug)]
pub struct MemoryStore {
    shards: Vec<Mutex<HashMap<ConversationId, Conversation>>>,
    users: Mutex<HashMap<UserId, User>>,
}

#[derive(Debug, Default)]
struct Conversation {
    entries: BTreeMap<Position, Arc<Entry>>,
    ids: HashMap<EntryId, Position>,
    members: Option<Members>,
    applied: VecDeque<Epoch>,
    unlogged: Vec<Arc<Entry>>,
    marks: HashMap<UserId, Marks>,
    head: Option<Head>,
}

#[derive(Debug, Default)]
struct User {
    conversations: BTreeSet<ConversationId>,
    blocks: BTreeSet<UserId>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            users: Mutex::default(),
        }
    }

    fn shard(&self, id: ConversationId) -> &Mutex<HashMap<ConversationId, Conversation>> {
        &self.shards[usize::from(id.shard()) % SHARDS]
    }

    fn read<T>(&self, id: ConversationId, read: impl FnOnce(&Conversation) -> T) -> Option<T> {
        self.shard(id).lock().get(&id).map(read)
    }

    fn write<T>(&self, id: ConversationId, write: impl FnOnce(&mut Conversation) -> T) -> T {
        write(self.shard(id).lock().entry(id).or_default())
    }

    fn membership(&self, id: ConversationId, user: &UserId) -> Option<Membership> {
        let membership = |conversation: &Conversation| {
            let members = conversation.members.as_ref()?;
            Some(Membership {
                conversation: id,
                kind: members.kind,
                epoch: members.epoch,
                title: members.title.clone(),
                peer: members.peer(user).cloned(),
                member: *members.get(user)?,
                marks: conversation.marks.get(user).copied().unwrap_or_default(),
                head: conversation.head.clone(),
            })
        };
        self.read(id, membership).flatten()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Conversation {
    fn insert(&mut self, entry: &Arc<Entry>) -> Inserted {
        let inserted = self.insert_entry(entry);
        if inserted != Inserted::Taken {
            self.unlogged.retain(|change| change.id != entry.id);
        }
        inserted
    }

    fn insert_entry(&mut self, entry: &Arc<Entry>) -> Inserted {
        match self.ids.get(&entry.id) {
            Some(&stands) if stands == entry.position => return Inserted::Repeat,
            Some(&stands) => return Inserted::Duplicate { stands },
            None => {}
        }
        if self.entries.contains_key(&entry.position) {
            return Inserted::Taken;
        }
        self.ids.insert(entry.id, entry.position);
        self.entries.insert(entry.position, entry.clone());
        Inserted::New
    }

    fn relocate(&mut self, entry: Arc<Entry>) -> Relocated {
        let left = match self.ids.get(&entry.id).copied() {
            Some(stands) if stands > entry.position => return Relocated::Beyond { stands },
            Some(stands) if stands == entry.position => return Relocated::Stands { left: None },
            left => left,
        };
        if self.entries.contains_key(&entry.position) {
            return Relocated::Taken;
        }
        if let Some(left) = left {
            self.entries.remove(&left);
        }
        self.unlogged.retain(|change| change.id != entry.id);
        self.ids.insert(entry.id, entry.position);
        self.entries.insert(entry.position, entry);
        Relocated::Stands { left }
    }

    fn page(&self, range: Range, limit: usize) -> Vec<Arc<Entry>> {
        match range {
            Range::After(Position(u64::MAX)) => Vec::new(),
            Range::After(Position(point)) => {
                let page = self.entries.range(Position(point + 1)..);
                page.take(limit).map(|(_, entry)| entry.clone()).collect()
            }
            Range::Before(point) => {
                let newest_first = self.entries.range(..point).rev();
                let mut page: Vec<_> = newest_first
                    .take(limit)
                    .map(|(_, entry)| entry.clone())
                    .collect();
                page.reverse();
                page
            }
        }
    }

    fn commit(&mut self, delta: &MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        if self.applied.contains(&delta.epoch) {
            return Ok(Commit::Repeat);
        }
        let epoch = self
            .members
            .as_ref()
            .map_or(Epoch(0), |members| members.epoch);
        if delta.base != epoch {
            return Ok(Commit::Conflict { epoch });
        }
        if self.unlogged.len() >= MAX_UNLOGGED_CHANGES {
            let message = "too many changes of the members wait to be stored";
            return Err(Error::new(ErrorKind::Busy, message));
        }
        if !self.ids.contains_key(&entry.id) {
            self.unlogged.push(entry);
        }
        let members = self.members.take();
        let members = members.unwrap_or_else(|| Members::nobody(delta.conversation));
        self.members = Some(members.with(delta));
        self.applied.push_back(delta.epoch);
        if self.applied.len() > REMEMBERED_CHANGES {
            self.applied.pop_front();
        }
        Ok(Commit::Committed)
    }

    fn mark(&mut self, user: UserId, marks: Marks) {
        if self
            .members
            .as_ref()
            .is_some_and(|members| members.get(&user).is_some())
        {
            let held = self.marks.entry(user).or_default();
            *held = held.max(marks);
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>> {
        let insert = |entry: &Arc<Entry>| self.write(entry.conversation, |log| log.insert(entry));
        Ok(entries.iter().map(insert).collect())
    }

    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated> {
        Ok(self.write(entry.conversation, |log| log.relocate(entry)))
    }

    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        Ok(self
            .read(conversation, |log| log.page(range, limit))
            .unwrap_or_default())
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        let find = |log: &Conversation| log.entries.get(log.ids.get(&id)?).cloned();
        Ok(self.read(conversation, find).flatten())
    }

    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()> {
        let id = ConversationId::direct(&a, &b);
        self.write(id, |conversation| {
            conversation
                .members
                .get_or_insert_with(|| Members::direct(&a, &b));
            let mut users = self.users.lock();
            for user in [a, b] {
                users.entry(user).or_default().conversations.insert(id);
            }
        });
        Ok(())
    }

    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        Ok(self
            .read(conversation, |conversation| conversation.members.clone())
            .flatten())
    }

    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        let id = delta.conversation;
        self.write(id, |conversation| {
            let commit = conversation.commit(&delta, entry)?;
            // Under the conversation's lock, so that two changes' entries do not overtake.
            if commit == Commit::Committed {
                let mut users = self.users.lock();
                for (user, _) in delta.upsert {
                    users.entry(user).or_default().conversations.insert(id);
                }
                for user in &delta.remove {
                    if let Some(user) = users.get_mut(user) {
                        user.conversations.remove(&id);
                    }
                }
            }
            Ok(commit)
        })
    }

    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        Ok(self
            .read(conversation, |conversation| conversation.unlogged.clone())
            .unwrap_or_default())
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        let conversations: Vec<_> = {
            let users = self.users.lock();
            let user = users.get(&user).into_iter();
            user.flat_map(|user| user.conversations.iter().copied())
                .collect()
        };
        let memberships = conversations
            .into_iter()
            .filter_map(|id| self.membership(id, &user));
        Ok(memberships.take(MAX_CONVERSATIONS_PER_USER).collect())
    }

    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        for MarkUpdate {
            conversation: id,
            user,
            marks,
        } in updates
        {
            if let Some(conversation) = self.shard(id).lock().get_mut(&id) {
                conversation.mark(user, marks);
            }
        }
        Ok(())
    }

    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        let marks = |conversation: &Conversation| {
            let users = conversation
                .members
                .iter()
                .flat_map(|members| members.list.keys());
            let marks = |user: &UserId| conversation.marks.get(user).copied().unwrap_or_default();
            users.map(|user| (user.clone(), marks(user))).collect()
        };
        Ok(self.read(conversation, marks).unwrap_or_default())
    }

    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        for (id, head) in heads {
            if let Some(conversation) = self.shard(id).lock().get_mut(&id)
                && conversation.members.is_some()
            {
                conversation.head = Some(match conversation.head.take() {
                    Some(held) => held.max(head),
                    None => head,
                });
            }
        }
        Ok(())
    }

    async fn block(&self, user: UserId, other: UserId) -> Result<()> {
        let mut users = self.users.lock();
        let blocks = &mut users.entry(user).or_default().blocks;
        if blocks.len() >= MAX_BLOCKS_PER_USER && !blocks.contains(&other) {
            let message = format!("a user blocks at most {MAX_BLOCKS_PER_USER} others");
            return Err(Error::new(ErrorKind::LimitReached, message));
        }
        blocks.insert(other);
        Ok(())
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<()> {
        if let Some(user) = self.users.lock().get_mut(&user) {
            user.blocks.remove(&other);
        }
        Ok(())
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>> {
        let users = self.users.lock();
        Ok(users
            .get(&user)
            .into_iter()
            .flat_map(|user| user.blocks.iter().cloned())
            .collect())
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool> {
        let users = self.users.lock();
        let blocks = |user, other| {
            users
                .get(user)
                .is_some_and(|user| user.blocks.contains(other))
        };
        Ok(blocks(&a, &b) || blocks(&b, &a))
    }
}
