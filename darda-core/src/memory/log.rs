//! What the cache remembers of one conversation, apart from its outbox.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Body, Entry, EntryId, Epoch, Position};
use crate::ports::{Admission, Head};

/// Entries that a window keeps, however large they are.
pub(super) const WINDOW_AT_LEAST: usize = 200;
const WINDOW_AT_MOST: usize = 256;
const WINDOW_BYTES: usize = 1024 * 1024;
const REMEMBERED_IDS: usize = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// One remembered id, in the map and in the order of age.
const ID_BYTES: usize = 96;

/// A log's memory. Its incarnation is that of the cache.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    /// The newest position given, also before a promotion.
    pub(super) last: Position,
    /// Whether anything was appended in this incarnation: before, `last` is not the log's end.
    pub(super) begun: bool,
    epoch: Epoch,
    /// Whether `epoch` is known to be no older than the log's: see [`Log::admits`].
    taught: bool,
    /// The membership change that made `epoch`, if one did that the cache saw.
    epoch_of: Option<EntryId>,
    head: Option<Position>,
    last_message: Option<Arc<Entry>>,
    window: VecDeque<Arc<Entry>>,
    window_bytes: usize,
    ids: HashMap<EntryId, Position>,
    by_age: VecDeque<(Instant, EntryId, Position)>,
    /// How many entries the outbox holds of this log.
    pub(super) pending: usize,
}

impl Log {
    pub(super) fn remembered(&self, id: EntryId) -> Option<Position> {
        self.ids.get(&id).copied()
    }

    /// Whether an append may pass. An epoch that was only raised does not count as known, since a
    /// log that has forgotten its epoch may be told an old one.
    pub(super) fn admits(&self, admission: Admission) -> bool {
        match admission {
            Admission::Checked { epoch, fresh } => epoch >= self.epoch && (fresh || self.taught),
            Admission::Relocated { .. } => true,
        }
    }

    pub(super) fn raise_epoch(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.epoch_of = None;
        }
    }

    /// The epoch, if it is known in this incarnation.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.taught.then_some(self.epoch)
    }

    fn forget_epoch(&mut self) {
        self.epoch = Epoch::default();
        self.taught = false;
        self.epoch_of = None;
    }

    /// Learns from an append that was admitted, and tells the entry's epoch.
    pub(super) fn learn(
        &mut self,
        admission: Admission,
        id: EntryId,
        body: &Body,
        position: Position,
    ) -> Epoch {
        let change = matches!(body, Body::Members { .. });
        let epoch = match admission {
            Admission::Checked { .. } if change => Epoch(position.0),
            Admission::Checked { epoch, .. } | Admission::Relocated { epoch } => epoch,
        };
        let checked = matches!(admission, Admission::Checked { .. });
        self.taught |= checked;
        if change || checked {
            self.raise_epoch(epoch);
        }
        if change && epoch == self.epoch {
            self.epoch_of = Some(id);
        }
        epoch
    }

    /// Takes a new entry in.
    pub(super) fn push(&mut self, entry: &Arc<Entry>, now: Instant) {
        self.last = entry.position;
        self.begun = true;
        self.head = Some(entry.position);
        if entry.body.is_message() {
            self.last_message = Some(entry.clone());
        }
        self.window_bytes += weight(entry);
        self.window.push_back(entry.clone());
        self.ids.insert(entry.id, entry.position);
        self.by_age.push_back((now, entry.id, entry.position));
        while self.window.len() > WINDOW_AT_MOST
            || (self.window_bytes > WINDOW_BYTES && self.window.len() > WINDOW_AT_LEAST)
        {
            if let Some(oldest) = self.window.pop_front() {
                self.window_bytes -= weight(&oldest);
            }
        }
    }

    /// Forgets ids that are too many or too old, but none of the window's or the outbox's: every
    /// entry that the cache holds is found by its id.
    pub(super) fn forget_ids(&mut self, now: Instant, pending: impl Fn(Position) -> bool) {
        // One id comes with each append, so that a few steps keep up.
        for _ in 0..4 {
            let Some(&(since, id, position)) = self.by_age.front() else {
                return;
            };
            let surplus = self.by_age.len() > REMEMBERED_IDS;
            let old = now.duration_since(since) > REMEMBERED_FOR;
            if !(surplus || old) || position >= self.window_start() {
                return;
            }
            self.by_age.pop_front();
            if self.ids.get(&id) != Some(&position) {
                continue;
            }
            if pending(position) {
                // Its turn comes again; it does not keep younger ones.
                self.by_age.push_back((since, id, position));
            } else {
                self.ids.remove(&id);
            }
        }
    }

    /// The window's first position; beyond every position if it is empty. Whatever the outbox holds
    /// from here on is in the window too.
    pub(super) fn window_start(&self) -> Position {
        self.window
            .front()
            .map_or(Position(u64::MAX), |entry| entry.position)
    }

    pub(super) fn window_after(&self, point: Position) -> impl Iterator<Item = &Arc<Entry>> {
        let start = self.window.partition_point(|entry| entry.position <= point);
        self.window.range(start..)
    }

    /// Newest first.
    pub(super) fn window_before(&self, point: Position) -> impl Iterator<Item = &Arc<Entry>> {
        let end = self.window.partition_point(|entry| entry.position < point);
        self.window.range(..end).rev()
    }

    pub(super) fn in_window(&self, position: Position) -> Option<&Arc<Entry>> {
        let at = self
            .window
            .binary_search_by_key(&position, |entry| entry.position)
            .ok()?;
        self.window.get(at)
    }

    /// The newest position given in this incarnation, whether it stands or not.
    pub(super) fn last_given(&self) -> Option<Position> {
        self.begun.then_some(self.last)
    }

    /// The newest position that stands, unless an earlier incarnation may have given a newer one.
    pub(super) fn head_position(&self) -> Option<Position> {
        self.head.filter(|_| self.begun)
    }

    pub(super) fn head(&self) -> Option<Head> {
        let position = self.head_position()?;
        Some(Head {
            position,
            last_message: self.last_message.clone(),
        })
    }

    /// Takes an entry out of window and memory. The outbox is the caller's.
    pub(super) fn withdraw(&mut self, id: EntryId, position: Position, incarnation: u64) {
        if self.ids.get(&id) == Some(&position) {
            self.ids.remove(&id);
            if self.epoch_of == Some(id) {
                self.forget_epoch();
            }
        }
        let at = self
            .window
            .binary_search_by_key(&position, |entry| entry.position)
            .ok();
        if let Some(at) = at.filter(|&at| self.window.get(at).is_some_and(|entry| entry.id == id))
            && let Some(entry) = self.window.remove(at)
        {
            self.window_bytes -= weight(&entry);
            if self.head == Some(position) {
                // An older incarnation's entry need not be the newest of the log.
                let newest = self.window.back();
                let newest = newest.filter(|entry| entry.incarnation == incarnation);
                self.head = newest.map(|entry| entry.position);
            }
        }
        if self
            .last_message
            .as_ref()
            .is_some_and(|last| last.id == id && last.position == position)
        {
            self.last_message = self
                .window
                .iter()
                .rev()
                .find(|entry| entry.body.is_message())
                .cloned();
        }
    }

    /// What remains after a promotion: the newest appends may be missing, and with them the newest
    /// position and epoch.
    #[cfg(feature = "faults")]
    pub(super) fn begin_incarnation(&mut self) {
        self.begun = false;
        self.forget_epoch();
    }

    /// Roughly, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.window_bytes + self.by_age.len() * ID_BYTES
    }
}

/// An entry's memory, roughly, in bytes.
fn weight(entry: &Entry) -> usize {
    size_of::<Entry>() + 192 + entry.body.weight()
}
