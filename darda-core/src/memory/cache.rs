//! The in-memory cache: logs in shards, each behind one lock, so that an append is one step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::clock::{Clock, SystemClock};
use super::log::Log;
use super::shard::{Key, Limits, Shard};
use crate::error::Result;
use crate::model::{ConversationId, Entry, EntryId, Epoch, Position};
use crate::ports::{Append, Appended, Cache, Head, Range, Recent, Settled};

const SHARDS: usize = 64;
const DEFAULT_MEMORY: usize = 512 * 1024 * 1024;
const DEFAULT_LOGS: usize = 100_000;
const DEFAULT_OUTBOX: usize = 10_000;

/// The [`Cache`] in memory.
///
/// It forgets the logs used longest ago, if they have nothing in the outbox, when there are more
/// than it may hold or when they take too much memory. A forgotten log that is appended to begins
/// anew: it has no `prev` and asks for a fresh epoch, but its positions still go up.
#[derive(Debug)]
pub struct MemoryCache {
    shards: Vec<Mutex<Shard>>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

/// A copy of all that a [`MemoryCache`] held at one moment: a replica that lags behind.
#[cfg(feature = "faults")]
#[derive(Debug, Clone)]
pub struct CacheSnapshot(Vec<Shard>);

impl MemoryCache {
    /// An empty cache that goes by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty cache that goes by this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let incarnation = clock.now_us().max(1);
        Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::empty(incarnation, true)))
                .collect(),
            clock,
            limits: Limits {
                logs: DEFAULT_LOGS / SHARDS,
                memory: DEFAULT_MEMORY / SHARDS,
                outbox: DEFAULT_OUTBOX,
            },
        }
    }

    /// How many logs it remembers in all; default 100,000.
    #[must_use]
    pub fn with_log_limit(mut self, logs: usize) -> Self {
        self.limits.logs = logs.div_ceil(SHARDS);
        self
    }

    /// How much memory the logs may take in all, roughly, in bytes; default 512 MiB. Each of its 64
    /// shards keeps its share, and at least one log.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.limits.memory = bytes / SHARDS;
        self
    }

    /// How many entries the outbox of each of its 64 shards holds; default 10,000. At the bound,
    /// appends fail as busy.
    #[must_use]
    pub fn with_outbox_limit(mut self, entries: usize) -> Self {
        self.limits.outbox = entries;
        self
    }

    fn shard(&self, conversation: ConversationId) -> &Mutex<Shard> {
        &self.shards[usize::from(conversation.shard()) % SHARDS]
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "faults")]
impl MemoryCache {
    /// Forgets everything, as a restart without persistence does.
    pub fn lose_memory(&self) {
        self.replace(|shard| *shard = Shard::empty(shard.incarnation, false));
    }

    /// A copy as it is now.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot {
        let shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        CacheSnapshot(shards.iter().map(|shard| (**shard).clone()).collect())
    }

    /// Goes back to an older copy, as the promotion of a lagging replica does.
    pub fn promote(&self, snapshot: CacheSnapshot) {
        let mut copies = snapshot.0.into_iter();
        self.replace(|shard| {
            if let Some(copy) = copies.next() {
                *shard = copy.promoted();
            }
        });
    }

    /// Ends the incarnation of all shards at one moment.
    fn replace(&self, mut change: impl FnMut(&mut Shard)) {
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        let ended = shards
            .iter()
            .map(|shard| shard.incarnation)
            .max()
            .unwrap_or_default();
        let incarnation = self.clock.now_us().max(ended + 1);
        for shard in &mut shards {
            change(shard);
            shard.incarnation = incarnation;
        }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn append(&self, append: Append) -> Result<Appended> {
        let mut shard = self.shard(append.conversation).lock();
        // The clock is read under the lock: a position is never older than one given before it.
        shard.append(append, self.clock.now_us(), self.limits)
    }

    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()> {
        let mut shard = self.shard(conversation).lock();
        shard.raise_epoch(conversation, epoch, self.limits);
        Ok(())
    }

    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>> {
        let epoch = |conversation| {
            let shard = self.shard(conversation).lock();
            shard.logs.peek(&conversation).and_then(Log::epoch)
        };
        Ok(conversations.into_iter().map(epoch).collect())
    }

    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent> {
        Ok(self
            .shard(conversation)
            .lock()
            .recent(conversation, range, limit))
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        Ok(self.shard(conversation).lock().find(conversation, id))
    }

    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        Ok(self.shard(conversation).lock().changes(conversation))
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        let head = |conversation| {
            let shard = self.shard(conversation).lock();
            shard.logs.peek(&conversation).and_then(Log::head)
        };
        Ok(conversations.into_iter().map(head).collect())
    }

    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>> {
        let lost = |entry: &Arc<Entry>| self.shard(entry.conversation).lock().lost(entry);
        Ok(entries.iter().map(lost).collect())
    }

    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>> {
        let settle = |entry: &Arc<Entry>| self.shard(entry.conversation).lock().settle(entry);
        Ok(entries.iter().map(settle).collect())
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()> {
        self.shard(conversation)
            .lock()
            .withdraw(conversation, id, position);
        Ok(())
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let now = Instant::now();
        let mut due = Vec::new();
        for shard in &self.shards {
            due.extend(shard.lock().overdue(age, now));
        }
        due.sort_by_key(|&(since, (conversation, position))| (since, position, conversation));
        // Looked at again, one by one: another reaper may have claimed some since.
        let claim = |(_, key): (Instant, Key)| self.shard(key.0).lock().claim(key, age, now);
        Ok(due.into_iter().filter_map(claim).take(limit).collect())
    }

    async fn outbox_len(&self) -> Result<u64> {
        Ok(self
            .shards
            .iter()
            .map(|shard| shard.lock().outbox.len() as u64)
            .sum())
    }
}
