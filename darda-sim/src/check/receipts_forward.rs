//! Promise 8: marks only move forward, as each session sees them and as they are stored.
//!
//! A node that is killed takes the marks that it gathered with it: then the store may hold less than
//! was asked for, but never more.

use std::collections::BTreeMap;

use darda_core::model::{ConversationId, Marks, Position, UserId};

use super::facts::Facts;
use crate::history::{Reply, Request, What};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let shuffled = facts.history.conditions.live_shuffled;
    let mut known: BTreeMap<_, Marks> = BTreeMap::new();
    for record in &facts.history.records {
        let What::Marked {
            session,
            conversation,
            user,
            marks,
            asked,
        } = &record.what
        else {
            continue;
        };
        let what = format!(
            "{} µs: session {session} got {marks:?} of {user}",
            record.at
        );
        if marks.seen > marks.delivered {
            broken.push(format!("{what}, seen and not delivered"));
        }
        if shuffled && !asked {
            continue;
        }
        let before = known
            .entry((*session, *conversation, user, *asked))
            .or_default();
        if marks.seen < before.seen || marks.delivered < before.delivered {
            broken.push(format!("{what} after {before:?}"));
        }
        *before = before.max(*marks);
    }
    broken.extend(stored(facts));
    broken
}

fn stored(facts: &Facts<'_>) -> Vec<String> {
    let mut most: BTreeMap<(ConversationId, &UserId), Marks> = BTreeMap::new();
    let mut owed: BTreeMap<(ConversationId, &UserId), Marks> = BTreeMap::new();
    for call in &facts.calls {
        if let Request::Mark {
            conversation,
            marks,
        } = call.request
        {
            let key = (*conversation, call.user);
            let most = most.entry(key).or_default();
            *most = most.max(*marks);
            if let Some((_, Reply::Done)) = call.answered {
                let owed = owed.entry(key).or_default();
                *owed = owed.max(*marks);
            }
        }
    }
    let conditions = facts.history.conditions;
    let strict = !conditions.node_killed && !conditions.port_refused;
    let mut broken = Vec::new();
    for log in &facts.history.outcome.logs {
        for (user, marks) in &log.marks {
            let key = (log.conversation, user);
            // Who writes has read what is written, so that one's own entries may count as marks.
            let own = log.entries.iter().filter(|entry| entry.sender == *user);
            let own = own.map(|entry| entry.position).max().unwrap_or(Position(0));
            let own = Marks {
                delivered: own,
                seen: own,
            };
            let most = most.get(&key).copied().unwrap_or_default().max(own);
            if marks.seen > most.seen || marks.delivered > most.delivered {
                broken.push(format!(
                    "the store has {marks:?} of {user}, who asked for {most:?}"
                ));
            }
            let owed = owed.get(&key).copied().unwrap_or_default();
            let once = facts.stints(log.conversation, user).len() == 1;
            if strict && once && (marks.seen < owed.seen || marks.delivered < owed.delivered) {
                broken.push(format!(
                    "the store has {marks:?} of {user}, who was owed {owed:?}"
                ));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    #[test]
    fn marks_that_move_forward_are_fine() {
        let story = Story::direct()
            .mark("alice", 10)
            .mark("alice", 20)
            .stored_mark("alice", 20);
        assert!(
            story
                .marked("bob", "alice", 10)
                .marked("bob", "alice", 20)
                .judge(broken)
                .is_empty()
        );
    }

    #[test]
    fn a_mark_that_goes_back_is_found() {
        let story = Story::direct()
            .marked("bob", "alice", 20)
            .marked("bob", "alice", 10);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn a_mark_that_nobody_set_is_found() {
        assert_eq!(
            Story::direct().stored_mark("alice", 20).judge(broken).len(),
            1
        );
    }

    #[test]
    fn a_mark_that_was_lost_is_found_unless_a_node_was_killed() {
        let story = || Story::direct().mark("alice", 20).stored_mark("alice", 10);
        assert_eq!(story().judge(broken).len(), 1);
        assert!(story().node_killed().judge(broken).is_empty());
    }
}
