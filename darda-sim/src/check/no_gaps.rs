//! Promise 4: who follows `prev`, or resumes with its cursors, misses nothing.
//!
//! Judged at every moment at which a client came to believe that it has all up to some position,
//! against the log as it is at the end: an entry that turns up later below a cursor is a gap too.

use std::collections::{BTreeMap, BTreeSet};

use darda_core::model::{ConversationId, EntryId, Position, UserId};

use super::facts::Facts;
use crate::history::{DeviceNo, Shown, Via, What};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut broken = beliefs(facts);
    let outcome = &facts.history.outcome;
    for shown in outcome.views.iter().chain(&outcome.reads) {
        broken.extend(difference(facts, shown));
    }
    let devices: BTreeSet<_> = facts
        .sessions
        .values()
        .map(|owner| (owner.user, owner.device))
        .collect();
    for log in &outcome.logs {
        for (user, device) in &devices {
            let owed = log.visible_to(user).next().is_some();
            let there = outcome.views.iter().any(|view| {
                view.device == *device
                    && view.user == **user
                    && view.conversation == log.conversation
            });
            if owed && !there && !outcome.views.is_empty() {
                broken.push(format!(
                    "{user} on device {device} lacks all of {}",
                    log.conversation
                ));
            }
        }
    }
    broken
}

fn beliefs(facts: &Facts<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut held: BTreeMap<(DeviceNo, ConversationId), BTreeSet<(Position, EntryId)>> =
        BTreeMap::new();
    for record in &facts.history.records {
        match &record.what {
            What::Got {
                session,
                entry,
                via,
            } if *via != Via::Glance => {
                let Some(owner) = facts.sessions.get(session) else {
                    continue;
                };
                let held = held.entry((owner.device, entry.conversation)).or_default();
                held.insert((entry.position, entry.id));
            }
            What::Forgot {
                device,
                conversation,
            } => {
                held.remove(&(*device, *conversation));
            }
            What::Moved {
                session,
                conversation,
                from,
                to,
            } => {
                let Some(owner) = facts.sessions.get(session) else {
                    continue;
                };
                let Some(log) = facts.logs.get(conversation) else {
                    continue;
                };
                let held = held.entry((owner.device, *conversation)).or_default();
                let first = always_visible_from(facts, *conversation, owner.user);
                let start = log.entries.partition_point(|entry| entry.position <= *from);
                let missing = log.entries.iter().skip(start).find(|entry| {
                    entry.position <= *to
                        && entry.position >= first
                        && !held.contains(&(entry.position, entry.id))
                });
                if let Some(entry) = missing.filter(|entry| entry.position <= *to) {
                    broken.push(format!(
                        "{} µs: device {} of {} believed to have all of {from}..={to} without {} at {}",
                        record.at, owner.device, owner.user, entry.id, entry.position
                    ));
                }
            }
            _ => {}
        }
    }
    broken
}

/// What the user may see in each time as a member: the rest depends on when it was read.
fn always_visible_from(facts: &Facts<'_>, conversation: ConversationId, user: &UserId) -> Position {
    let stints = facts.stints(conversation, user);
    stints
        .iter()
        .map(|stint| stint.visible_from)
        .max()
        .unwrap_or(Position(u64::MAX))
}

fn difference(facts: &Facts<'_>, shown: &Shown) -> Vec<String> {
    let Some(log) = facts.logs.get(&shown.conversation) else {
        return Vec::new();
    };
    let Some(member) = log
        .members
        .as_ref()
        .and_then(|members| members.get(&shown.user))
    else {
        return Vec::new();
    };
    let whose = format!("{} on device {}", shown.user, shown.device);
    let held: BTreeSet<_> = shown.entries.iter().map(|(_, id)| *id).collect();
    let owed: BTreeSet<_> = log.visible_to(&shown.user).map(|entry| entry.id).collect();
    let mut broken = Vec::new();
    for id in owed.difference(&held) {
        broken.push(format!("{whose} is not shown {id}"));
    }
    for (position, id) in &shown.entries {
        let stands = facts
            .positions
            .get(&(shown.conversation, *id))
            .unwrap_or(position);
        // An entry whose only copy the cache forgot, and whose sender may not send any longer, stays
        // with those who were told of it. It was never acknowledged.
        let forgotten = facts.history.conditions.cache_forgot
            && !facts.first_acked.contains_key(id)
            && !facts.positions.contains_key(&(shown.conversation, *id));
        // What somebody kept from an earlier time as a member is not judged here.
        if !owed.contains(id) && *stands >= member.visible_from && !forgotten {
            broken.push(format!(
                "{whose} is shown {id} at {position}, which the log lacks"
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    fn two_sends() -> Story {
        Story::direct()
            .acked_send("alice", "1", 10)
            .acked_send("alice", "2", 20)
    }

    #[test]
    fn a_cursor_that_passes_only_what_was_received_is_fine() {
        let story = two_sends()
            .got("bob", "1", 10, None)
            .got("bob", "2", 20, Some(10));
        assert!(
            story
                .moved("bob", 0, 20)
                .shown("bob", &["1", "2"])
                .judge(broken)
                .is_empty()
        );
    }

    #[test]
    fn a_cursor_that_passes_something_unseen_is_found() {
        let story = two_sends().got("bob", "2", 20, None).moved("bob", 0, 20);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn an_entry_that_is_received_only_after_the_cursor_passed_is_found() {
        let story = two_sends().got("bob", "2", 20, None).moved("bob", 0, 20);
        assert_eq!(story.got("bob", "1", 10, None).judge(broken).len(), 1);
    }

    #[test]
    fn what_a_device_forgot_does_not_count_as_held() {
        let story = two_sends()
            .got("bob", "1", 10, None)
            .got("bob", "2", 20, Some(10));
        assert_eq!(
            story.forgot("bob").moved("bob", 0, 20).judge(broken).len(),
            1
        );
    }

    #[test]
    fn a_view_that_lacks_an_entry_is_found() {
        assert_eq!(two_sends().shown("bob", &["2"]).judge(broken).len(), 1);
    }

    #[test]
    fn a_view_with_an_entry_that_the_log_lacks_is_found() {
        let story = two_sends().shown("bob", &["1", "2", "3"]);
        assert_eq!(story.judge(broken).len(), 1);
    }

    #[test]
    fn an_unacknowledged_entry_may_stay_in_a_view_if_the_cache_forgot() {
        let story = || two_sends().shown("bob", &["1", "2", "3"]).cache_forgot();
        assert!(story().judge(broken).is_empty());
    }
}
