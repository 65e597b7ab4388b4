//! Promise 2: all see the same order, which is that of the log's positions.
//!
//! Where the cache has forgotten something, an entry may move, and a client that was away when the
//! move was told, or lost the telling, shows it where it stood. Reading the history again always
//! gives the log's order.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Shown, What};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for log in &facts.history.outcome.logs {
        for pair in log.entries.windows(2) {
            if let [first, second] = pair
                && first.position >= second.position
            {
                broken.push(format!(
                    "the log has {} after {}",
                    second.position, first.position
                ));
            }
        }
    }
    let moves = facts.history.conditions.cache_forgot;
    for read in &facts.history.outcome.reads {
        broken.extend(misplaced(facts, read, false));
    }
    for view in &facts.history.outcome.views {
        broken.extend(misplaced(facts, view, moves));
    }
    let mut at = BTreeMap::new();
    for record in &facts.history.records {
        if let What::Got { session, entry, .. } = &record.what {
            if entry.prev.is_some_and(|prev| prev >= entry.position) {
                broken.push(format!(
                    "{} at {} follows a later entry",
                    entry.id, entry.position
                ));
            }
            let first = *at
                .entry((entry.conversation, entry.position))
                .or_insert(entry.id);
            if first != entry.id && !moves {
                broken.push(format!(
                    "session {session} got {} at {}, where another got {first}",
                    entry.id, entry.position
                ));
            }
        }
    }
    broken
}

fn misplaced(facts: &Facts<'_>, shown: &Shown, moves: bool) -> Vec<String> {
    let whose = format!("{} on device {}", shown.user, shown.device);
    let mut broken = Vec::new();
    for pair in shown.entries.windows(2) {
        if let [(first, _), (second, _)] = pair
            && first >= second
        {
            broken.push(format!("{whose} is shown {second} after {first}"));
        }
    }
    for (position, id) in &shown.entries {
        let stands = facts.positions.get(&(shown.conversation, *id));
        if let Some(stands) = stands.filter(|stands| *stands != position)
            && !moves
        {
            broken.push(format!(
                "{whose} is shown {id} at {position}, it stands at {stands}"
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    #[test]
    fn views_in_the_order_of_the_log_are_fine() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .acked_send("bob", "2", 20);
        assert!(story.shown("alice", &["1", "2"]).judge(broken).is_empty());
    }

    #[test]
    fn an_entry_that_somebody_is_shown_elsewhere_is_found() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .shown_at("bob", "1", 15);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn a_client_that_missed_a_move_is_forgiven_if_the_cache_forgot() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .shown_at("bob", "1", 15);
        assert!(story.cache_forgot().judge(broken).is_empty());
    }

    #[test]
    fn two_entries_at_one_position_are_found() {
        let story = Story::direct()
            .got("alice", "1", 10, None)
            .got("bob", "2", 10, None);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn an_entry_before_its_predecessor_is_found() {
        assert_eq!(
            Story::direct()
                .got("bob", "1", 10, Some(10))
                .judge(broken)
                .len(),
            1
        );
    }
}
