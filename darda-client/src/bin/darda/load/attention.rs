//! What one user of a chat tells the others besides messages: how far everything came and was seen.
//!
//! As the page does: the conversation that is open is marked as seen, the others as delivered; one mark at a
//! time is under way in each, and what comes meanwhile is in the next one. After a while the user opens the
//! next conversation.

use std::collections::HashMap;
use std::sync::Arc;

/// One user's conversations, and the one that is open.
#[derive(Debug)]
pub(super) struct Attention {
    own: Vec<Followed>,
    by_name: HashMap<Arc<str>, usize>,
    open: usize,
}

/// A conversation of the user.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    pub(super) conversation: Arc<str>,
    /// Whether the user sends receipts there, and says that they type.
    pub(super) attended: bool,
}

#[derive(Debug)]
struct Followed {
    is: Joined,
    newest: u64,
    delivered: u64,
    seen: u64,
    under_way: Option<Mark>,
}

/// A mark to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which of the user's conversations.
    pub(super) place: usize,
    pub(super) position: u64,
    pub(super) seen: bool,
}

impl Attention {
    pub(super) fn new(own: Vec<Joined>) -> Self {
        let names = own.iter().enumerate();
        let by_name = names
            .map(|(place, joined)| (joined.conversation.clone(), place))
            .collect();
        let own = own.into_iter().map(|is| Followed {
            is,
            newest: 0,
            delivered: 0,
            seen: 0,
            under_way: None,
        });
        Self {
            own: own.collect(),
            by_name,
            open: 0,
        }
    }

    pub(super) fn conversation(&self, place: usize) -> Option<&Arc<str>> {
        Some(&self.own.get(place)?.is.conversation)
    }

    /// A message of somebody else came.
    pub(super) fn arrived(&mut self, conversation: &str, position: u64) -> Option<Mark> {
        let place = *self.by_name.get(conversation)?;
        let followed = &mut self.own[place];
        followed.newest = followed.newest.max(position);
        self.due(place)
    }

    /// The user opens the next conversation.
    pub(super) fn look(&mut self) -> Option<Mark> {
        self.open = (self.open + 1) % self.own.len().max(1);
        self.due(self.open)
    }

    /// A mark was answered. One that was refused is not repeated: the next message brings the next one.
    pub(super) fn answered(&mut self, place: usize, done: bool) -> Option<Mark> {
        let followed = self.own.get_mut(place)?;
        let mark = followed.under_way.take()?;
        if !done {
            return None;
        }
        followed.delivered = followed.delivered.max(mark.position);
        if mark.seen {
            followed.seen = followed.seen.max(mark.position);
        }
        self.due(place)
    }

    /// Where the user types now, if it is said there.
    pub(super) fn typing(&self) -> Option<&Arc<str>> {
        let open = self.own.get(self.open)?;
        open.is.attended.then_some(&open.is.conversation)
    }

    fn due(&mut self, place: usize) -> Option<Mark> {
        let followed = self.own.get_mut(place)?;
        let seen = place == self.open;
        let held = if seen {
            followed.seen
        } else {
            followed.delivered
        };
        if !followed.is.attended || followed.under_way.is_some() || followed.newest <= held {
            return None;
        }
        let mark = Mark {
            place,
            position: followed.newest,
            seen,
        };
        followed.under_way = Some(mark);
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_two() -> Attention {
        let joined = |name: &str| Joined {
            conversation: name.into(),
            attended: true,
        };
        Attention::new(vec![joined("open"), joined("other")])
    }

    fn mark(place: usize, position: u64, seen: bool) -> Option<Mark> {
        Some(Mark {
            place,
            position,
            seen,
        })
    }

    #[test]
    fn what_comes_in_the_open_conversation_is_seen_and_elsewhere_delivered() {
        let mut attention = of_two();
        assert_eq!(attention.arrived("open", 5), mark(0, 5, true));
        assert_eq!(attention.arrived("other", 6), mark(1, 6, false));
        assert_eq!(attention.arrived("a stranger's", 7), None);
    }

    #[test]
    fn one_mark_at_a_time_says_it_for_all_that_came_meanwhile() {
        let mut attention = of_two();
        attention.arrived("other", 1).unwrap();
        assert_eq!(attention.arrived("other", 2), None);
        assert_eq!(attention.arrived("other", 3), None);
        assert_eq!(attention.answered(1, true), mark(1, 3, false));
        assert_eq!(attention.answered(1, true), None);
        assert_eq!(attention.arrived("other", 3), None);
    }

    #[test]
    fn a_conversation_that_is_opened_is_seen() {
        let mut attention = of_two();
        attention.arrived("other", 4).unwrap();
        attention.answered(1, true);
        assert_eq!(attention.look(), mark(1, 4, true));
        assert_eq!(attention.answered(1, true), None);
        assert_eq!(attention.look(), None);
    }

    #[test]
    fn a_refused_mark_is_made_up_for_by_the_next() {
        let mut attention = of_two();
        attention.arrived("open", 1).unwrap();
        assert_eq!(attention.answered(0, false), None);
        assert_eq!(attention.arrived("open", 2), mark(0, 2, true));
    }

    #[test]
    fn nothing_goes_where_it_is_not_passed_on() {
        let mut attention = Attention::new(vec![Joined {
            conversation: "large".into(),
            attended: false,
        }]);
        assert_eq!(attention.arrived("large", 1), None);
        assert_eq!(attention.look(), None);
        assert_eq!(attention.typing(), None);
    }
    #[test]
    fn one_types_in_the_conversation_that_is_open() {
        let mut attention = of_two();
        assert_eq!(attention.typing().map(|it| &**it), Some("open"));
        attention.look();
        assert_eq!(attention.typing().map(|it| &**it), Some("other"));
    }
}
