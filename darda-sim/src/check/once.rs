//! Promise 3: the same (conversation, sender, client id) is one entry, and every acknowledgement of
//! it names the position at which it stands, unless it was withdrawn from there.

use std::collections::BTreeSet;

use darda_core::model::EntryId;

use super::facts::Facts;
use crate::history::{Reply, Request};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for log in &facts.history.outcome.logs {
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for entry in &log.entries {
            if !ids.insert(entry.id) || !names.insert((&entry.sender, &entry.client_id)) {
                broken.push(format!("the log has {} twice", entry.id));
            }
            if EntryId::derive(log.conversation, &entry.sender, &entry.client_id) != entry.id {
                broken.push(format!("{} is not the id of its send", entry.id));
            }
        }
    }
    let outcome = &facts.history.outcome;
    for shown in outcome.views.iter().chain(&outcome.reads) {
        let mut ids = BTreeSet::new();
        for (_, id) in &shown.entries {
            if !ids.insert(id) {
                broken.push(format!("{} is shown {id} twice", shown.user));
            }
        }
    }
    for call in &facts.calls {
        let Request::Send {
            conversation, id, ..
        } = call.request
        else {
            continue;
        };
        let Some((
            _,
            Reply::Acked {
                position, repeat, ..
            },
        )) = call.answered
        else {
            continue;
        };
        let Some(stands) = facts.positions.get(&(*conversation, *id)) else {
            continue;
        };
        let moved =
            facts.withdrawn.contains(&(*id, *position)) || facts.history.conditions.cache_forgot;
        if stands != position && !moved {
            let which = if *repeat { "a repeat" } else { "a send" };
            broken.push(format!(
                "{which} of {id} was acked at {position}, it stands at {stands}"
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
    fn a_resend_that_gets_the_first_position_is_fine() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .acked_again("alice", "1", 10);
        assert!(story.judge(broken).is_empty());
    }

    #[test]
    fn a_resend_that_gets_another_position_is_found() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .acked_again("alice", "1", 20);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn a_withdrawn_position_may_have_been_acknowledged() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .acked_again("alice", "1", 20);
        assert!(story.withdrawn("bob", "1", 20).judge(broken).is_empty());
    }

    #[test]
    fn an_entry_that_is_stored_twice_is_found() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .stored("alice", "1", 20);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn an_entry_that_is_shown_twice_is_found() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .shown("bob", &["1", "1"]);
        assert_eq!(story.judge(broken).len(), 1);
    }
}
