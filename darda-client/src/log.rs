//! A device's view of one conversation's log, by "The rules of a client" in the protocol: no socket and
//! no time. What it gives goes to the app: each entry once, and in order.

use std::collections::{BTreeMap, HashMap};

use crate::id::{EntryId, Position};
use crate::wire::Entry;

/// Entries beyond a gap that are held until it is closed. More are fetched again when it is.
pub(crate) const MAX_AHEAD: usize = 256;
/// Entries that were given and are still known by id, to tell a repeat. What stands before them is
/// left to history.
pub(crate) const MAX_REMEMBERED: usize = 512;

/// A device's view of one log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Everything up to here was given. `None`: it is not known yet where to begin.
    cursor: Option<Position>,
    /// What comes at or below is dropped: it was given, or is left to history.
    floor: Position,
    given: BTreeMap<Position, EntryId>,
    ahead: BTreeMap<Position, Entry>,
    /// Where the entries of both stand.
    places: HashMap<EntryId, Position>,
    out: Vec<Given>,
}

/// For the app, in this order.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Entry {
        entry: Entry,
        /// It stands before others that were given.
        late: bool,
    },
    /// An entry that was given does not stand where it stood.
    Withdrawn {
        entry: EntryId,
        position: Position,
        stands: Option<Position>,
    },
}

impl Log {
    pub(crate) fn cursor(&self) -> Option<Position> {
        self.cursor
    }

    /// Whether entries wait for one that is missing.
    pub(crate) fn is_broken(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The newest position that is known to hold an entry.
    pub(crate) fn newest(&self) -> Option<Position> {
        let last = self.ahead.last_key_value().map(|(position, _)| *position);
        last.max(self.cursor)
    }

    /// The oldest entry beyond the cursor.
    pub(crate) fn oldest_ahead(&self) -> Option<Position> {
        self.ahead.first_key_value().map(|(position, _)| *position)
    }

    /// What waits beyond the cursor.
    pub(crate) fn waiting(&self) -> Vec<(Position, EntryId)> {
        let waiting = self.ahead.iter();
        waiting
            .map(|(at, entry)| (*at, entry.entry.clone()))
            .collect()
    }

    pub(crate) fn take(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.out)
    }

    /// Nothing up to here is wanted: it was given in an earlier life, or is left to history.
    pub(crate) fn begin(&mut self, cursor: Position) {
        let beyond = self.ahead.split_off(&Position(cursor.0 + 1));
        for entry in std::mem::replace(&mut self.ahead, beyond).into_values() {
            self.places.remove(&entry.entry);
        }
        self.cursor = Some(cursor);
        self.floor = cursor;
        self.follow();
    }

    /// An entry came as an event, or as the reply to a send of one's own. Whether one before it is
    /// missing.
    pub(crate) fn receive(&mut self, entry: Entry) -> bool {
        let position = entry.position;
        if position <= self.floor || self.holds(position) {
            return self.is_broken();
        }
        let Some(cursor) = self.cursor else {
            if self.ahead.len() < MAX_AHEAD {
                self.put_ahead(entry);
            }
            return true;
        };
        if position > cursor && entry.prev != Some(cursor) && self.ahead.len() >= MAX_AHEAD {
            return true;
        }
        self.put(entry, cursor);
        self.follow();
        self.is_broken()
    }

    /// Everything that follows `after` (at or before the cursor), without holes.
    pub(crate) fn fetched(&mut self, after: Position, entries: Vec<Entry>) {
        let last = entries.last().map_or(after, |entry| entry.position);
        for entry in entries {
            let position = entry.position;
            if position <= self.floor {
                continue;
            }
            // What was fetched is how it stands.
            match self.at(position) {
                Some(held) if *held != entry.entry => self.remove(position, None),
                Some(_) if self.given.contains_key(&position) => continue,
                _ => {}
            }
            let cursor = self.cursor.unwrap_or_default();
            self.put(entry, cursor);
        }
        while let Some(first) = self.ahead.first_entry()
            && *first.key() <= last
        {
            let entry = first.remove();
            self.give(entry);
        }
        self.cursor = self.cursor.max(Some(last));
        self.follow();
    }

    /// What waited when all that follows the cursor was asked for, and is not in the answer, does not
    /// stand.
    pub(crate) fn settle(&mut self, waited: &[(Position, EntryId)]) {
        for (position, id) in waited {
            if self.ahead.get(position).is_some_and(|it| it.entry == *id) {
                self.remove(*position, None);
            }
        }
    }

    /// An entry does not stand at `position`. Whether the one at `stands` has to be fetched.
    pub(crate) fn withdraw(
        &mut self,
        id: &EntryId,
        position: Position,
        stands: Option<Position>,
    ) -> bool {
        if self.at(position) == Some(id) {
            self.remove(position, stands);
        }
        let Some((stands, cursor)) = stands.zip(self.cursor) else {
            return false;
        };
        stands > self.floor && stands <= cursor && !self.holds(stands)
    }

    fn holds(&self, position: Position) -> bool {
        self.at(position).is_some()
    }

    fn at(&self, position: Position) -> Option<&EntryId> {
        let ahead = || self.ahead.get(&position).map(|entry| &entry.entry);
        self.given.get(&position).or_else(ahead)
    }

    /// Puts an entry in its place, and takes it away from where it stood.
    fn put(&mut self, entry: Entry, cursor: Position) {
        if let Some(other) = self.places.get(&entry.entry).copied()
            && other != entry.position
        {
            self.remove(other, Some(entry.position));
        }
        if entry.position > cursor {
            self.put_ahead(entry);
        } else {
            self.remember(&entry);
            self.out.push(Given::Entry { entry, late: true });
        }
    }

    fn put_ahead(&mut self, entry: Entry) {
        if let Some(other) = self.places.insert(entry.entry.clone(), entry.position)
            && other != entry.position
        {
            self.ahead.remove(&other);
        }
        self.ahead.insert(entry.position, entry);
    }

    fn remove(&mut self, position: Position, stands: Option<Position>) {
        if let Some(entry) = self.ahead.remove(&position) {
            self.places.remove(&entry.entry);
        } else if let Some(entry) = self.given.remove(&position) {
            self.places.remove(&entry);
            self.out.push(Given::Withdrawn {
                entry,
                position,
                stands,
            });
        }
    }

    /// Moves the cursor over the entries that follow it.
    fn follow(&mut self) {
        while let Some(first) = self.ahead.first_entry()
            && first.get().prev.is_some()
            && first.get().prev == self.cursor
        {
            let entry = first.remove();
            self.cursor = Some(entry.position);
            self.give(entry);
        }
    }

    fn give(&mut self, entry: Entry) {
        self.remember(&entry);
        self.out.push(Given::Entry { entry, late: false });
    }

    fn remember(&mut self, entry: &Entry) {
        self.given.insert(entry.position, entry.entry.clone());
        self.places.insert(entry.entry.clone(), entry.position);
        while self.given.len() > MAX_REMEMBERED
            && let Some((position, id)) = self.given.pop_first()
        {
            self.places.remove(&id);
            self.floor = position;
        }
    }
}

#[cfg(test)]
mod tests;
