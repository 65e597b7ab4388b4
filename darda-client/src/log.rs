//! A device's view of one conversation's log, by "The rules of a client" in the protocol: no socket and
//! no time. What it gives goes to the app: each entry once, and in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{EntryId, Position};
use crate::wire::Entry;

/// Entries beyond a gap that are held until it is closed. More are fetched again when it is.
pub(crate) const MAX_AHEAD: usize = 256;
/// Entries that were given and are still known by id, to tell a repeat. What stands before them is
/// left to history.
pub(crate) const MAX_REMEMBERED: usize = 512;

/// Where an entry was told to stand. Two may be told to stand at one position: one of them will be
/// withdrawn, and until then both are held.
type Place = (Position, EntryId);

/// A device's view of one log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Everything up to here was given. `None`: it is not known yet where to begin.
    cursor: Option<Position>,
    /// What comes at or below is dropped: it was given, or is left to history.
    floor: Position,
    given: BTreeSet<Place>,
    ahead: BTreeMap<Place, Entry>,
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
        let last = self
            .ahead
            .last_key_value()
            .map(|((position, _), _)| *position);
        last.max(self.cursor)
    }

    /// The oldest entry beyond the cursor.
    pub(crate) fn oldest_ahead(&self) -> Option<Position> {
        let first = self.ahead.first_key_value();
        first.map(|((position, _), _)| *position)
    }

    /// What waits beyond the cursor.
    pub(crate) fn waiting(&self) -> Vec<Place> {
        self.ahead.keys().cloned().collect()
    }

    pub(crate) fn take(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.out)
    }

    /// Nothing up to here is wanted: it was given in an earlier life, or is left to history.
    pub(crate) fn begin(&mut self, cursor: Position) {
        while let Some(first) = self.ahead.first_entry()
            && first.key().0 <= cursor
        {
            let entry = first.remove();
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
        if position <= self.floor || self.holds(&entry.entry, position) {
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
            self.stands_alone(&entry);
            if self.given.contains(&(position, entry.entry.clone())) {
                continue;
            }
            let cursor = self.cursor.unwrap_or_default();
            self.put(entry, cursor);
        }
        while let Some(first) = self.ahead.first_entry()
            && first.key().0 <= last
        {
            let entry = first.remove();
            self.give(entry);
        }
        self.cursor = self.cursor.max(Some(last));
        self.follow();
    }

    /// What waited when all that follows the cursor was asked for, and is not in the answer, does not
    /// stand.
    pub(crate) fn settle(&mut self, waited: &[Place]) {
        for place in waited {
            if self.ahead.contains_key(place) {
                self.remove(place, None);
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
        if self.holds(id, position) {
            self.remove(&(position, id.clone()), stands);
        }
        let Some((stands, cursor)) = stands.zip(self.cursor) else {
            return false;
        };
        stands > self.floor && stands <= cursor && !self.holds(id, stands)
    }

    fn holds(&self, id: &EntryId, position: Position) -> bool {
        self.places.get(id) == Some(&position)
    }

    /// What was fetched is how it stands: nothing else has its position.
    fn stands_alone(&mut self, fetched: &Entry) {
        let next = Position(fetched.position.0 + 1);
        let range = (fetched.position, EntryId::from(""))..(next, EntryId::from(""));
        let ahead = self.ahead.range(range.clone()).map(|(place, _)| place);
        let held = ahead.chain(self.given.range(range));
        let others: Vec<_> = held
            .filter(|(_, id)| *id != fetched.entry)
            .cloned()
            .collect();
        for other in others {
            self.remove(&other, None);
        }
    }

    /// Puts an entry in its place, and takes it away from where it stood.
    fn put(&mut self, entry: Entry, cursor: Position) {
        if let Some(other) = self.places.get(&entry.entry).copied()
            && other != entry.position
        {
            self.remove(&(other, entry.entry.clone()), Some(entry.position));
        }
        if entry.position > cursor {
            self.put_ahead(entry);
        } else {
            self.remember(&entry);
            self.out.push(Given::Entry { entry, late: true });
        }
    }

    fn put_ahead(&mut self, entry: Entry) {
        let id = entry.entry.clone();
        if let Some(other) = self.places.insert(id.clone(), entry.position)
            && other != entry.position
        {
            self.ahead.remove(&(other, id.clone()));
        }
        self.ahead.insert((entry.position, id), entry);
    }

    fn remove(&mut self, place: &Place, stands: Option<Position>) {
        let (position, id) = place;
        if self.ahead.remove(place).is_some() {
            self.places.remove(id);
        } else if self.given.remove(place) {
            self.places.remove(id);
            self.out.push(Given::Withdrawn {
                entry: id.clone(),
                position: *position,
                stands,
            });
        }
    }

    /// Moves the cursor over the entries that follow it.
    fn follow(&mut self) {
        while let Some(first) = self.ahead.first_entry()
            && (first.get().prev.is_some() && first.get().prev == self.cursor
                || Some(first.get().position) == self.cursor)
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
        self.given.insert((entry.position, entry.entry.clone()));
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
