//! Promise 6: nothing of a conversation reaches anyone who may not see it.
//!
//! Judged twice: by the epochs that the entries carry, and by the clock alone. By the clock, who was
//! no member from the moment at which something was first asked for until it reached them must not
//! have got it.

use darda_core::model::{Marks, Position, UserId};

use super::facts::{Call, Facts};
use crate::history::{Reply, Request, Seen, What};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for record in &facts.history.records {
        let at = record.at;
        let seen = match &record.what {
            What::Got { session, entry, .. } => {
                facts.sessions.get(session).and_then(|owner| got(facts, at, owner.user, entry))
            }
            What::Typing { session, conversation, user } => facts
                .sessions
                .get(session)
                .filter(|owner| {
                    let typed = times(facts, user, |request| {
                        matches!(request, Request::Typing { conversation: c } if c == conversation)
                    });
                    typed
                        .filter(|asked| *asked <= at)
                        .all(|asked| facts.absent(*conversation, owner.user, asked, at))
                })
                .map(|owner| format!("{at} µs: {} learnt that {user} typed", owner.user)),
            What::Marked { session, conversation, user, marks, .. } => facts
                .sessions
                .get(session)
                .filter(|owner| {
                    marked_since(facts, *conversation, user, *marks)
                        .is_some_and(|since| facts.absent(*conversation, owner.user, since, at))
                })
                .map(|owner| format!("{at} µs: {} learnt {marks:?} of {user}", owner.user)),
            _ => None,
        };
        broken.extend(seen);
    }
    broken.extend(facts.calls.iter().filter_map(|call| answered(facts, call)));
    for log in &facts.history.outcome.logs {
        if let (Some(stored), Some(derived)) = (&log.members, facts.derived.get(&log.conversation))
            && !stored.list.keys().eq(derived.list.keys())
        {
            broken.push(format!(
                "the store has {:?} as members of {}, its log makes {:?}",
                stored.list.keys().collect::<Vec<_>>(),
                log.conversation,
                derived.list.keys().collect::<Vec<_>>()
            ));
        }
    }
    broken
}

fn got(facts: &Facts<'_>, at: u64, user: &UserId, entry: &Seen) -> Option<String> {
    facts.logs.get(&entry.conversation)?.members.as_ref()?;
    let what = format!("{at} µs: {user} got {} at {}", entry.id, entry.position);
    let stints = facts.stints(entry.conversation, user);
    if let Some(epoch) = entry.epoch
        && !stints.iter().any(|stint| {
            stint.not_before <= at
                && stint.visible_from <= entry.position
                && stint.until.is_none_or(|until| until > epoch)
        })
    {
        return Some(format!(
            "{what} of epoch {}, without being a member then",
            epoch.0
        ));
    }
    let asked = *facts.first_asked.get(&entry.id)?;
    facts
        .absent(entry.conversation, user, asked, at)
        .then(|| format!("{what}, sent at {asked} µs, without being a member since"))
}

fn times<'a>(
    facts: &'a Facts<'_>,
    user: &'a UserId,
    wanted: impl Fn(&Request) -> bool + 'a,
) -> impl Iterator<Item = u64> + 'a {
    let calls = facts
        .calls
        .iter()
        .filter(move |call| call.user == user && wanted(call.request));
    calls.map(|call| call.asked)
}

/// When somebody first asked for marks that are at least these.
fn marked_since(
    facts: &Facts<'_>,
    conversation: darda_core::model::ConversationId,
    user: &UserId,
    marks: Marks,
) -> Option<u64> {
    let since = |reached: &dyn Fn(&Marks) -> bool| {
        facts.calls.iter().find_map(|call| match call.request {
            Request::Mark {
                conversation: c,
                marks,
            } if *c == conversation && call.user == user && reached(marks) => Some(call.asked),
            _ => None,
        })
    };
    let delivered = (marks.delivered > Position(0))
        .then(|| since(&|asked| asked.delivered.max(asked.seen) >= marks.delivered))?;
    let seen = if marks.seen > Position(0) {
        since(&|asked| asked.seen >= marks.seen)?
    } else {
        0
    };
    delivered.map(|delivered| delivered.max(seen))
}

fn answered(facts: &Facts<'_>, call: &Call<'_>) -> Option<String> {
    let (answered, reply) = call.answered?;
    let (conversation, did) = match (call.request, reply) {
        (
            Request::Send {
                conversation,
                change: None,
                ..
            },
            Reply::Acked { repeat: false, .. },
        ) => (conversation, "send to"),
        (Request::Read { conversation, .. }, Reply::Done) => (conversation, "read"),
        (Request::Mark { conversation, .. } | Request::Typing { conversation }, Reply::Done) => {
            (conversation, "mark or type in")
        }
        _ => return None,
    };
    facts.logs.get(conversation)?.members.as_ref()?;
    facts
        .absent(*conversation, call.user, call.asked, answered)
        .then(|| {
            format!(
                "{answered} µs: {} could {did} {conversation} ({:?}) without being a member",
                call.user, call.request
            )
        })
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    #[test]
    fn a_member_gets_entries() {
        let story = Story::group(&["bob"]).acked_send("alice", "1", 1_000);
        assert!(story.got("bob", "1", 1_000, None).judge(broken).is_empty());
    }

    #[test]
    fn a_stranger_who_gets_an_entry_is_found() {
        let story = Story::group(&["bob"]).acked_send("alice", "1", 1_000);
        assert_eq!(story.got("eve", "1", 1_000, None).judge(broken).len(), 1);
    }

    #[test]
    fn the_removed_may_get_late_what_was_sent_before() {
        let story = Story::group(&["bob"])
            .acked_send("alice", "1", 1_000)
            .remove("bob");
        assert!(story.got("bob", "1", 1_000, None).judge(broken).is_empty());
    }

    #[test]
    fn the_removed_who_get_what_was_sent_after_are_found() {
        let story = Story::group(&["bob"])
            .remove("bob")
            .acked_send("alice", "1", 9_000);
        assert_eq!(story.got("bob", "1", 9_000, None).judge(broken).len(), 1);
    }

    #[test]
    fn an_entry_with_an_old_epoch_is_found_by_the_clock() {
        let story = Story::group(&["bob"])
            .remove("bob")
            .acked_send("alice", "1", 9_000);
        assert_eq!(
            story
                .got_without_epoch("bob", "1", 9_000)
                .judge(broken)
                .len(),
            1
        );
    }

    #[test]
    fn the_removed_who_read_or_are_told_of_marks_and_typing_are_found() {
        let removed = || Story::group(&["bob"]).remove("bob");
        assert_eq!(
            removed()
                .read_taking("bob", 1, Reply::Done)
                .judge(broken)
                .len(),
            1
        );
        let marked = removed().mark("alice", 10).marked("bob", "alice", 10);
        assert_eq!(marked.judge(broken).len(), 1);
        assert_eq!(
            removed()
                .typed("alice")
                .typing("bob", "alice")
                .judge(broken)
                .len(),
            1
        );
    }

    #[test]
    fn marks_from_before_the_removal_may_come_late() {
        let story = Story::group(&["bob"]).mark("alice", 10).remove("bob");
        assert!(story.marked("bob", "alice", 10).judge(broken).is_empty());
    }

    #[test]
    fn who_is_added_again_gets_what_was_sent_between() {
        let story = Story::group(&["bob"])
            .remove("bob")
            .acked_send("alice", "1", 9_000);
        assert!(
            story
                .add("bob")
                .got("bob", "1", 9_000, None)
                .judge(broken)
                .is_empty()
        );
    }
}
