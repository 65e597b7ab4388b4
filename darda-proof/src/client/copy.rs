//! A client's copy of one conversation, by the rules of the protocol's page: no socket, no time.

use std::collections::BTreeMap;

use darda_core::model::{EntryId, Position};

/// A client's copy of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    /// Nothing is missing up to here; `None`: nothing was fetched yet.
    cursor: Option<Position>,
    /// With `prev`. Two entries may be told to stand at one position until one of them is withdrawn.
    held: BTreeMap<(Position, EntryId), Option<Position>>,
    places: BTreeMap<EntryId, Position>,
}

/// Before every other id.
const FIRST: EntryId = EntryId::from_bytes([0; 16]);

/// What became of an entry that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// It was held already, or stands below the cursor.
    Placed,
    /// The cursor moved.
    Moved { from: Position, to: Position },
    /// Something before it is missing.
    Gap,
}

impl Copy {
    pub(crate) fn cursor(&self) -> Option<Position> {
        self.cursor
    }

    /// Whether an entry waits for one before it.
    pub(crate) fn is_behind(&self) -> bool {
        self.ahead().next().is_some()
    }

    /// The entries beyond the cursor.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = (Position, EntryId)> {
        let from = self.cursor.unwrap_or_default();
        self.beyond(from).map(|(place, _)| *place)
    }

    pub(crate) fn holds(&self, position: Position, id: EntryId) -> bool {
        self.held.contains_key(&(position, id))
    }

    /// The entries by position.
    pub(crate) fn shown(&self) -> Vec<(Position, EntryId)> {
        self.held.keys().copied().collect()
    }

    /// An entry came by itself: as an event, or as the reply to a send.
    pub(crate) fn take(&mut self, position: Position, prev: Option<Position>, id: EntryId) -> Took {
        if self.holds(position, id) {
            return Took::Placed;
        }
        self.place(position, prev, id);
        match self.cursor {
            Some(cursor) if position <= cursor => Took::Placed,
            Some(cursor) => match self.chain(cursor) {
                to if to > cursor => Took::Moved { from: cursor, to },
                _ => Took::Gap,
            },
            None => Took::Gap,
        }
    }

    /// Entries were fetched: all that follow `after`, without holes. Returns how the cursor moved.
    pub(crate) fn fetched<'a>(
        &mut self,
        after: Position,
        entries: impl IntoIterator<Item = (Position, Option<Position>, &'a EntryId)>,
    ) -> Option<(Position, Position)> {
        let mut last = after;
        for (position, prev, id) in entries {
            // What is fetched is how it stands.
            let next = Position(position.0 + 1);
            let there = self.held.range((position, FIRST)..(next, FIRST));
            let others: Vec<_> = there.map(|(place, _)| *place).collect();
            for (position, other) in others {
                self.withdrawn(position, other);
            }
            self.place(position, prev, *id);
            last = last.max(position);
        }
        let before = self.cursor;
        let cursor = before.unwrap_or_default();
        let to = self.chain(last.max(cursor));
        let moved = before.is_none_or(|cursor| to > cursor);
        moved.then_some((after.min(cursor), to))
    }

    /// An entry does not stand here.
    pub(crate) fn withdrawn(&mut self, position: Position, id: EntryId) {
        if self.held.remove(&(position, id)).is_some() && self.places.get(&id) == Some(&position) {
            self.places.remove(&id);
        }
    }

    fn place(&mut self, position: Position, prev: Option<Position>, id: EntryId) {
        if let Some(other) = self.places.insert(id, position)
            && other != position
        {
            self.held.remove(&(other, id));
        }
        self.held.insert((position, id), prev);
    }

    fn beyond(
        &self,
        position: Position,
    ) -> impl Iterator<Item = (&(Position, EntryId), &Option<Position>)> {
        self.held.range((Position(position.0 + 1), FIRST)..)
    }

    /// Moves the cursor over the entries that follow it.
    fn chain(&mut self, from: Position) -> Position {
        let mut to = from;
        for ((position, _), prev) in self.beyond(from) {
            if *prev != Some(to) && *position != to {
                break;
            }
            to = *position;
        }
        self.cursor = Some(to);
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> EntryId {
        EntryId::from_bytes([byte; 16])
    }
    const fn at(position: u64) -> Position {
        Position(position)
    }
    fn copy() -> Copy {
        let mut copy = Copy::default();
        copy.fetched(
            at(0),
            [(at(10), None, &id(1)), (at(20), Some(at(10)), &id(2))],
        );
        copy
    }

    #[test]
    fn an_entry_that_follows_moves_the_cursor_and_those_that_waited_for_it() {
        let mut copy = copy();
        assert_eq!(copy.take(at(40), Some(at(30)), id(4)), Took::Gap);
        assert!(copy.is_behind());
        let moved = Took::Moved {
            from: at(20),
            to: at(40),
        };
        assert_eq!(copy.take(at(30), Some(at(20)), id(3)), moved);
        assert!(!copy.is_behind());
    }

    #[test]
    fn an_entry_that_is_held_is_dropped() {
        assert_eq!(copy().take(at(20), Some(at(10)), id(2)), Took::Placed);
    }

    #[test]
    fn of_two_at_one_position_both_are_held_until_one_is_withdrawn() {
        let mut copy = copy();
        assert_eq!(copy.take(at(20), Some(at(10)), id(3)), Took::Placed);
        copy.withdrawn(at(20), id(2));
        assert_eq!(copy.shown(), [(at(10), id(1)), (at(20), id(3))]);
    }

    #[test]
    fn an_entry_at_another_position_is_replaced() {
        let mut copy = copy();
        copy.take(at(30), Some(at(20)), id(1));
        assert_eq!(copy.shown(), [(at(20), id(2)), (at(30), id(1))]);
    }

    #[test]
    fn an_entry_below_the_cursor_is_put_in_its_place() {
        let mut copy = copy();
        assert_eq!(copy.take(at(15), None, id(5)), Took::Placed);
        assert_eq!(copy.cursor(), Some(at(20)));
        assert_eq!(copy.shown().len(), 3);
    }

    #[test]
    fn an_entry_without_prev_asks_for_attaching() {
        assert_eq!(copy().take(at(30), None, id(3)), Took::Gap);
    }

    #[test]
    fn what_is_withdrawn_is_gone() {
        let mut copy = copy();
        copy.withdrawn(at(20), id(2));
        assert_eq!(copy.shown(), [(at(10), id(1))]);
    }

    #[test]
    fn what_is_fetched_moves_the_cursor_to_its_last_entry_and_on() {
        let mut copy = copy();
        copy.take(at(40), Some(at(30)), id(4));
        let moved = copy.fetched(at(20), [(at(30), Some(at(20)), &id(3))]);
        assert_eq!(moved, Some((at(20), at(40))));
    }
}
