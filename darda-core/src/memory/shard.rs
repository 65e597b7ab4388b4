//! One shard of the cache: its logs and their outbox, changed under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::log::Log;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Body, ConversationId, Entry, EntryId, Epoch, Position};
use crate::ports::{Admission, Append, Appended, Range, Recent, Settled};

/// How far the first position of an incarnation lies past the clock, in microseconds.
const SKIP_US: u64 = 1_000_000;
/// How often a claim doubles an entry's wait.
const MOST_DOUBLINGS: u32 = 5;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) logs: usize,
    pub(super) memory: usize,
    /// Entries.
    pub(super) outbox: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub(super) incarnation: u64,
    /// Whether this is the cache's first incarnation, so that nothing can have been lost.
    first: bool,
    pub(super) logs: LruCache<ConversationId, Log>,
    /// What the logs take, roughly, in bytes.
    memory: usize,
    /// The newest position of any log that was forgotten.
    floor: Position,
    pub(super) outbox: BTreeMap<Key, Pending>,
}

/// Names an entry in an outbox.
pub(super) type Key = (ConversationId, Position);

#[derive(Debug, Clone)]
pub(super) struct Pending {
    entry: Arc<Entry>,
    since: Instant,
    claimed: Instant,
    claims: u32,
}

impl Shard {
    pub(super) fn empty(incarnation: u64, first: bool) -> Self {
        Self {
            incarnation,
            first,
            logs: LruCache::unbounded(),
            memory: 0,
            floor: Position::default(),
            outbox: BTreeMap::new(),
        }
    }

    pub(super) fn append(
        &mut self,
        append: Append,
        clock_us: u64,
        limits: Limits,
    ) -> Result<Appended> {
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
            prev: log.last_given(),
            epoch: log.learn(admission, id, &body, position),
            id,
            sender,
            client_id,
            body,
            incarnation: self.incarnation,
            relocated,
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
        let outbox = &self.outbox;
        log.forget_ids(now, |position| {
            outbox.contains_key(&(conversation, position))
        });
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

    pub(super) fn recent(
        &mut self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Recent {
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
            last: log.last_given(),
            epoch: log.epoch(),
        }
    }

    pub(super) fn find(&mut self, conversation: ConversationId, id: EntryId) -> Option<Arc<Entry>> {
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

    pub(super) fn lost(&mut self, entry: &Entry) -> bool {
        self.incarnation != entry.incarnation && self.settle(entry) == Settled::Lost
    }

    pub(super) fn settle(&mut self, entry: &Entry) -> Settled {
        if self.clear(entry.conversation, entry.id, entry.position) {
            if self.incarnation == entry.incarnation {
                return Settled::Cleared;
            }
            // Between the entry's incarnation and the copy that brought it back there may have been
            // another one without it.
            self.withdraw(entry.conversation, entry.id, entry.position);
            return Settled::Lost;
        }
        let log = self.logs.peek(&entry.conversation);
        let remembered = log.and_then(|log| log.remembered(entry.id)) == Some(entry.position);
        if remembered || self.incarnation == entry.incarnation {
            Settled::Known
        } else {
            Settled::Lost
        }
    }

    pub(super) fn raise_epoch(&mut self, id: ConversationId, epoch: Epoch, limits: Limits) {
        let before = self.logs.peek(&id).map_or(0, Log::weight);
        let log = self.logs.get_or_insert_mut(id, Log::default);
        log.raise_epoch(epoch);
        let after = log.weight();
        self.account(before, after, limits);
    }

    pub(super) fn changes(&self, conversation: ConversationId) -> Vec<Arc<Entry>> {
        let pending = pending_of(&self.outbox, conversation);
        let change = |entry: &&Arc<Entry>| matches!(entry.body, Body::Members { .. });
        pending.filter(change).cloned().collect()
    }

    pub(super) fn withdraw(&mut self, id: ConversationId, entry: EntryId, position: Position) {
        self.clear(id, entry, position);
        if let Some(log) = self.logs.peek_mut(&id) {
            let before = log.weight();
            log.withdraw(entry, position, self.incarnation);
            let freed = before.saturating_sub(log.weight());
            self.memory = self.memory.saturating_sub(freed);
        }
    }

    /// What is overdue, with the moment since when it has been in the outbox.
    pub(super) fn overdue(
        &self,
        age: Duration,
        now: Instant,
    ) -> impl Iterator<Item = (Instant, Key)> {
        let overdue = self
            .outbox
            .iter()
            .filter(move |(_, pending)| pending.overdue(age, now));
        overdue.map(|(&key, pending)| (pending.since, key))
    }

    /// Claims an entry, unless somebody else did meanwhile.
    pub(super) fn claim(&mut self, key: Key, age: Duration, now: Instant) -> Option<Arc<Entry>> {
        let pending = self.outbox.get_mut(&key)?;
        if !pending.overdue(age, now) {
            return None;
        }
        pending.claimed = now;
        pending.claims += 1;
        Some(pending.entry.clone())
    }

    /// What a promotion makes of a copy: the newest appends may be missing.
    #[cfg(feature = "faults")]
    pub(super) fn promoted(mut self) -> Self {
        self.first = false;
        for (_, log) in &mut self.logs {
            log.begin_incarnation();
        }
        self
    }
}

/// An outbox's entries of one log, by position.
fn pending_of(
    outbox: &BTreeMap<Key, Pending>,
    conversation: ConversationId,
) -> impl Iterator<Item = &Arc<Entry>> {
    let all = (conversation, Position(0))..=(conversation, Position(u64::MAX));
    outbox.range(all).map(|(_, pending)| &pending.entry)
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
