//! Promise 1: what was acknowledged is in the final log, exactly once, and in the final view of
//! every member who may see it.

use std::collections::{BTreeMap, BTreeSet};

use darda_core::model::{ConversationId, EntryId};

use super::facts::Facts;
use crate::history::{Reply, Request, Shown};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut acked: BTreeMap<ConversationId, BTreeSet<EntryId>> = BTreeMap::new();
    for call in &facts.calls {
        if let (
            Request::Send {
                conversation, id, ..
            },
            Some((_, Reply::Acked { .. })),
        ) = (call.request, call.answered)
        {
            acked.entry(*conversation).or_default().insert(*id);
        }
    }
    let mut broken = Vec::new();
    for (conversation, ids) in acked {
        let Some(log) = facts.logs.get(&conversation) else {
            broken.push(format!(
                "{conversation} has acknowledged entries and no log"
            ));
            continue;
        };
        for id in &ids {
            let times = log.entries.iter().filter(|entry| entry.id == *id).count();
            if times != 1 {
                broken.push(format!(
                    "{id} was acknowledged and is in the log {times} times"
                ));
            }
        }
        let outcome = &facts.history.outcome;
        for shown in outcome.views.iter().chain(&outcome.reads) {
            if shown.conversation == conversation {
                broken.extend(missing(facts, shown, &ids));
            }
        }
    }
    broken
}

fn missing(facts: &Facts<'_>, shown: &Shown, acked: &BTreeSet<EntryId>) -> Vec<String> {
    let Some(log) = facts.logs.get(&shown.conversation) else {
        return Vec::new();
    };
    let held: BTreeSet<_> = shown.entries.iter().map(|(_, id)| *id).collect();
    log.visible_to(&shown.user)
        .filter(|entry| acked.contains(&entry.id) && !held.contains(&entry.id))
        .map(|entry| {
            format!(
                "{} at {} was acknowledged and is not shown to {} on device {}",
                entry.id, entry.position, shown.user, shown.device
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    #[test]
    fn an_acknowledged_entry_in_log_and_views_is_kept() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .shown("bob", &["1"]);
        assert!(story.judge(broken).is_empty());
    }

    #[test]
    fn an_acknowledged_entry_that_the_log_lacks_is_found() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .lost_by_store("1");
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn an_acknowledged_entry_that_a_member_is_not_shown_is_found() {
        let story = Story::direct()
            .acked_send("alice", "1", 10)
            .shown("bob", &[]);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn an_entry_without_an_acknowledgement_is_not_owed() {
        let story = Story::direct().failed_send("alice", "1").shown("bob", &[]);
        assert!(story.judge(broken).is_empty());
    }
}
