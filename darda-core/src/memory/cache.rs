//! The in-memory cache: logs in shards, each behind one lock, so that an append is one step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::clock::{Clock, SystemClock};
use super::log::Log;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Body, ConversationId, Entry, EntryId, Epoch, Position};
use crate::ports::{Admission, Append, Appended, Cache, Head, Range, Recent, Settled};

const SHARDS: usize = 64;
/// How far the first position of an incarnation lies past the clock, in microseconds.
const SKIP_US: u64 = 1_000_000;
const DEFAULT_MEMORY: usize = 512 * 1024 * 1024;
const DEFAULT_LOGS: usize = 100_000;
const DEFAULT_OUTBOX: usize = 10_000;
/// How often a claim doubles an entry's wait.
const MOST_DOUBLINGS: u32 = 5;

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

#[derive(Debug, Clone, Copy)]
struct Limits {
    logs: usize,
    memory: usize,
    outbox: usize,
}

/// A copy of all that a [`MemoryCache`] held at one moment: a replica that lags behind.
#[cfg(feature = "faults")]
#[derive(Debug, Clone)]
pub struct CacheSnapshot(Vec<Shard>);

#[derive(Debug, Clone)]
struct Shard {
    incarnation: u64,
    /// Whether this is the cache's first incarnation, so that nothing can have been lost.
    first: bool,
    logs: LruCache<ConversationId, Log>,
    /// What the logs take, roughly, in bytes.
    memory: usize,
    /// The newest position of any log that was forgotten.
    floor: Position,
    outbox: BTreeMap<(ConversationId, Position), Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    entry: Arc<Entry>,
    since: Instant,
    claimed: Instant,
    claims: u32,
}

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
                let incarnation = shard.incarnation;
                *shard = Shard {
                    incarnation,
                    first: false,
                    ..copy
                };
                for (_, log) in &mut shard.logs {
                    log.begin_incarnation();
                }
            }
        });
    }

    /// Ends the incarnation of all shards at one moment.
    fn replace(&self, mut change: impl FnMut(&mut Shard)) {
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        for shard in &mut shards {
            let incarnation = self.clock.now_us().max(shard.incarnation + 1);
            change(shard);
            shard.incarnation = incarnation;
        }
    }
}

impl Shard {
    fn empty(incarnation: u64, first: bool) -> Self {
        Self {
            incarnation,
            first,
            logs: LruCache::unbounded(),
            memory: 0,
            floor: Position::default(),
            outbox: BTreeMap::new(),
        }
    }

    fn append(&mut self, append: Append, clock_us: u64, limits: Limits) -> Result<Appended> {
        let now = Instant::now();
        let Append {
            conversation,
            id,
            sender,
            client_id,
            body,
            admission,
        } = append;
        let unknown = Log::default();
        let known = self.logs.get(&conversation);
        let before = known.map_or(0, Log::weight);
        let log = known.unwrap_or(&unknown);
        if let Some(position) = log.remembered(id) {
            let pending = self.outbox.get(&(conversation, position));
            let pending = pending.map(|pending| pending.entry.clone());
            return Ok(Appended::Repeat { position, pending });
        }
        if !log.admits(admission) {
            return Ok(Appended::StaleEpoch);
        }
        let relocated = matches!(admission, Admission::Relocated { .. });
        if self.outbox.len() >= limits.outbox && !relocated {
            return Err(
                Error::new(ErrorKind::Busy, "too many entries wait to be stored")
                    .with_retry_after(Duration::from_secs(1)),
            );
        }

        let log = self.logs.get_or_insert_mut(conversation, Log::default);
        let earliest = match (log.begun, self.first) {
            (true, _) | (false, true) => clock_us,
            (false, false) => clock_us + SKIP_US,
        };
        let last = if log.last == Position::default() {
            self.floor
        } else {
            log.last
        };
        let position = Position(earliest.max(last.0 + 1));
        let entry = Arc::new(Entry {
            conversation,
            position,
            prev: log.prev(),
            epoch: log.learn(admission, id, &body, position),
            id,
            sender,
            client_id,
            body,
            incarnation: self.incarnation,
        });
        log.push(&entry, now);
        log.pending += 1;
        let pending = Pending {
            entry: entry.clone(),
            since: now,
            claimed: now,
            claims: 0,
        };
        self.outbox.insert((conversation, position), pending);
        log.forget_ids(now, oldest(&self.outbox, conversation));
        let after = log.weight();
        self.account(before, after, limits);
        Ok(Appended::New(entry))
    }

    /// Keeps the logs' memory, and forgets what is over the limits. A log with something in the
    /// outbox stays; only a few of those are looked at each time.
    fn account(&mut self, before: usize, after: usize, limits: Limits) {
        self.memory = (self.memory + after).saturating_sub(before);
        for _ in 0..8 {
            let over = self.memory > limits.memory || self.logs.len() > limits.logs;
            if !over || self.logs.len() <= 1 {
                return;
            }
            let Some((conversation, log)) = self.logs.pop_lru() else {
                return;
            };
            if log.pending > 0 {
                self.logs.put(conversation, log);
            } else {
                self.floor = self.floor.max(log.last);
                self.memory = self.memory.saturating_sub(log.weight());
            }
        }
    }

    fn recent(&mut self, conversation: ConversationId, range: Range, limit: usize) -> Recent {
        let Some(log) = self.logs.get(&conversation) else {
            return Recent::default();
        };
        let start = log.window_start();
        let outbox = |from: Position, to: Position| {
            let pending = (log.pending > 0 && from < to)
                .then(|| self.outbox.range((conversation, from)..(conversation, to)));
            pending
                .into_iter()
                .flatten()
                .map(|(_, pending)| &pending.entry)
        };
        let entries = match range {
            Range::After(point) => {
                let older = outbox(Position(point.0.saturating_add(1)), start);
                older
                    .chain(log.window_after(point))
                    .take(limit)
                    .cloned()
                    .collect()
            }
            Range::Before(point) => {
                let older = outbox(Position::default(), start.min(point)).rev();
                let newest_first = log.window_before(point).chain(older);
                let mut entries: Vec<_> = newest_first.take(limit).cloned().collect();
                entries.reverse();
                entries
            }
        };
        Recent {
            entries,
            head: log.head_position(),
            epoch: log.epoch(),
        }
    }

    fn find(&mut self, conversation: ConversationId, id: EntryId) -> Option<Arc<Entry>> {
        let log = self.logs.get(&conversation)?;
        let position = log.remembered(id)?;
        let pending = self
            .outbox
            .get(&(conversation, position))
            .map(|pending| &pending.entry);
        pending
            .or_else(|| log.in_window(position))
            .filter(|entry| entry.id == id)
            .cloned()
    }

    fn clear(&mut self, conversation: ConversationId, id: EntryId, position: Position) -> bool {
        let key = (conversation, position);
        let there = self
            .outbox
            .get(&key)
            .is_some_and(|pending| pending.entry.id == id);
        if there {
            self.outbox.remove(&key);
            if let Some(log) = self.logs.peek_mut(&conversation) {
                log.pending -= 1;
            }
        }
        there
    }

    fn settle(&mut self, entry: &Entry) -> Settled {
        if self.clear(entry.conversation, entry.id, entry.position) {
            return Settled::Cleared;
        }
        let log = self.logs.peek(&entry.conversation);
        let remembered = log.and_then(|log| log.remembered(entry.id)) == Some(entry.position);
        if remembered || self.incarnation == entry.incarnation {
            Settled::Known
        } else {
            Settled::Lost
        }
    }
}

fn oldest(
    outbox: &BTreeMap<(ConversationId, Position), Pending>,
    conversation: ConversationId,
) -> Option<Position> {
    let mut pending =
        outbox.range((conversation, Position(0))..=(conversation, Position(u64::MAX)));
    pending.next().map(|(&(_, position), _)| position)
}

impl Pending {
    /// Since when it has been waiting, if that is for longer than it should.
    fn overdue(&self, age: Duration, now: Instant) -> bool {
        let wait = match self.claims.checked_sub(1) {
            None => age,
            Some(doublings) => age * (1 << doublings.min(MOST_DOUBLINGS)),
        };
        let overdue = now.duration_since(self.claimed);
        if self.claims == 0 {
            overdue > wait
        } else {
            overdue >= wait
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
        let before = shard.logs.peek(&conversation).map_or(0, Log::weight);
        let log = shard.logs.get_or_insert_mut(conversation, Log::default);
        log.raise_epoch(epoch);
        let after = log.weight();
        shard.account(before, after, self.limits);
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
        let shard = self.shard(conversation).lock();
        let all = (conversation, Position(0))..=(conversation, Position(u64::MAX));
        let pending = shard.outbox.range(all).map(|(_, pending)| &pending.entry);
        Ok(pending
            .filter(|entry| matches!(entry.body, Body::Members { .. }))
            .cloned()
            .collect())
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        let head = |conversation| {
            let shard = self.shard(conversation).lock();
            shard.logs.peek(&conversation).and_then(Log::head)
        };
        Ok(conversations.into_iter().map(head).collect())
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
        let mut shard = self.shard(conversation).lock();
        shard.clear(conversation, id, position);
        if let Some(log) = shard.logs.peek_mut(&conversation) {
            let before = log.weight();
            log.withdraw(id, position);
            let freed = before.saturating_sub(log.weight());
            shard.memory = shard.memory.saturating_sub(freed);
        }
        Ok(())
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let now = Instant::now();
        let mut due = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let overdue = shard
                .outbox
                .iter()
                .filter(|(_, pending)| pending.overdue(age, now));
            due.extend(overdue.map(|(&key, pending)| (pending.since, key)));
        }
        due.sort_by_key(|&(since, (conversation, position))| (since, position, conversation));
        let mut claimed = Vec::new();
        for (_, key) in due {
            if claimed.len() >= limit {
                break;
            }
            let mut shard = self.shard(key.0).lock();
            // Looked at again: another reaper may have claimed it since.
            if let Some(pending) = shard.outbox.get_mut(&key)
                && pending.overdue(age, now)
            {
                pending.claimed = now;
                pending.claims += 1;
                claimed.push(pending.entry.clone());
            }
        }
        Ok(claimed)
    }

    async fn outbox_len(&self) -> Result<u64> {
        Ok(self
            .shards
            .iter()
            .map(|shard| shard.lock().outbox.len() as u64)
            .sum())
    }
}
