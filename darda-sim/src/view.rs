//! What a client holds of one conversation, by the rules that the protocol gives to clients. Pure:
//! no session, no time.

use std::collections::{BTreeMap, BTreeSet};

use darda_core::model::{EntryId, Position};

/// Entries that wait for the one before them; beyond, attaching is cheaper.
const MOST_AHEAD: usize = 64;

/// A client's copy of a conversation.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Nothing is missing up to here. `None`: nothing was fetched yet.
    cursor: Option<Position>,
    held: BTreeMap<Position, EntryId>,
    ahead: BTreeMap<Position, (Option<Position>, EntryId)>,
    /// What was withdrawn, so that a late announcement does not bring it back.
    withdrawn: BTreeSet<(Position, EntryId)>,
}

/// What became of something that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was held already, or changes nothing.
    Known,
    /// The cursor moved.
    Moved {
        /// From here.
        from: Position,
        /// To here.
        to: Position,
    },
    /// Something before it is missing: attach, unless an acknowledgement is due that fills it.
    Behind,
}

impl View {
    /// Up to where nothing is missing.
    #[must_use]
    pub fn cursor(&self) -> Option<Position> {
        self.cursor
    }

    /// Whether entries wait for one before them.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// An entry arrived by itself: as an event, or as the acknowledgement of an own send.
    pub fn arrived(&mut self, position: Position, prev: Option<Position>, id: EntryId) -> Arrival {
        let Some(cursor) = self.cursor else {
            return Arrival::Behind;
        };
        if position <= cursor {
            return Arrival::Known;
        }
        if self.ahead.len() < MOST_AHEAD {
            self.ahead.insert(position, (prev, id));
        }
        self.chain(cursor)
    }

    /// Entries were fetched: all after `after` up to the last of them.
    pub fn caught_up(&mut self, after: Position, entries: &[(Position, EntryId)]) -> Arrival {
        for &(position, id) in entries {
            self.hold(position, id);
        }
        let cursor = self.cursor.unwrap_or(after);
        let last = entries
            .last()
            .map_or(after, |&(position, _)| position)
            .max(cursor);
        self.cursor = Some(last);
        self.ahead.retain(|position, _| *position > last);
        match self.chain(last) {
            Arrival::Moved { to, .. } => Arrival::Moved {
                from: after.min(cursor),
                to,
            },
            _ if last > cursor => Arrival::Moved {
                from: after.min(cursor),
                to: last,
            },
            _ => Arrival::Known,
        }
    }

    /// All that is after the cursor was fetched, and what waits ahead was not among it: it does not
    /// stand where it was announced.
    pub fn nothing_ahead(&mut self) {
        self.ahead.clear();
    }

    /// An entry does not stand here.
    pub fn withdrawn(&mut self, position: Position, id: EntryId) {
        self.withdrawn.insert((position, id));
        if self.held.get(&position) == Some(&id) {
            self.held.remove(&position);
        }
    }

    /// Whether this entry is shown, wherever.
    #[must_use]
    pub fn shows(&self, id: EntryId) -> bool {
        self.held.values().any(|held| *held == id)
    }

    /// The entries by position, each once: of several positions the newest that was not withdrawn.
    #[must_use]
    pub fn shown(&self) -> Vec<(Position, EntryId)> {
        let newest: BTreeMap<_, _> = self
            .held
            .iter()
            .map(|(position, id)| (id, position))
            .collect();
        let stands = |(position, id): &(&Position, &EntryId)| newest.get(id) == Some(position);
        self.held
            .iter()
            .filter(stands)
            .map(|(position, id)| (*position, *id))
            .collect()
    }

    fn hold(&mut self, position: Position, id: EntryId) {
        if !self.withdrawn.contains(&(position, id)) {
            self.held.insert(position, id);
        }
    }

    fn chain(&mut self, from: Position) -> Arrival {
        let mut to = from;
        while let Some((&position, &(prev, id))) = self.ahead.first_key_value() {
            if prev != Some(to) {
                break;
            }
            self.ahead.remove(&position);
            self.hold(position, id);
            to = position;
        }
        self.cursor = Some(to);
        if to > from {
            Arrival::Moved { from, to }
        } else {
            Arrival::Behind
        }
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
    fn view() -> View {
        let mut view = View::default();
        view.caught_up(at(0), &[(at(10), id(1)), (at(20), id(2))]);
        view
    }

    #[test]
    fn an_entry_that_follows_the_cursor_moves_it() {
        let mut view = view();
        let moved = Arrival::Moved {
            from: at(20),
            to: at(30),
        };
        assert_eq!(view.arrived(at(30), Some(at(20)), id(3)), moved);
        assert_eq!(
            view.shown(),
            [(at(10), id(1)), (at(20), id(2)), (at(30), id(3))]
        );
    }

    #[test]
    fn an_entry_without_its_predecessor_waits_and_is_not_shown() {
        let mut view = view();
        assert_eq!(view.arrived(at(40), Some(at(30)), id(4)), Arrival::Behind);
        assert_eq!(view.cursor(), Some(at(20)));
        assert!(!view.shows(id(4)));
        let moved = Arrival::Moved {
            from: at(20),
            to: at(40),
        };
        assert_eq!(view.arrived(at(30), Some(at(20)), id(3)), moved);
        assert!(view.shows(id(4)));
    }

    #[test]
    fn an_entry_that_does_not_know_its_predecessor_asks_for_attaching() {
        assert_eq!(view().arrived(at(30), None, id(3)), Arrival::Behind);
    }

    #[test]
    fn a_repeat_changes_nothing() {
        assert_eq!(view().arrived(at(20), Some(at(10)), id(2)), Arrival::Known);
    }

    #[test]
    fn a_withdrawn_entry_is_gone_and_a_late_announcement_does_not_bring_it_back() {
        let mut view = view();
        view.withdrawn(at(20), id(2));
        view.withdrawn(at(30), id(3));
        view.arrived(at(30), Some(at(20)), id(3));
        assert_eq!(view.cursor(), Some(at(30)));
        assert_eq!(view.shown(), [(at(10), id(1))]);
    }

    #[test]
    fn the_same_entry_at_another_position_is_shown_once() {
        let mut view = view();
        view.arrived(at(30), Some(at(20)), id(1));
        assert_eq!(view.shown(), [(at(20), id(2)), (at(30), id(1))]);
        view.withdrawn(at(30), id(1));
        assert_eq!(view.shown(), [(at(10), id(1)), (at(20), id(2))]);
    }
}
