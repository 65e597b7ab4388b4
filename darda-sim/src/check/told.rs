//! Promise 5: nothing unseen is silent. Every call ends in bounded time, with an answer that is true;
//! a session that lived on through faults has come to know all that it missed.

use super::facts::{Call, Facts};
use crate::history::{Reply, Request, SessionNo, What};

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let mut broken: Vec<_> = facts
        .calls
        .iter()
        .filter_map(|call| untold(facts, call))
        .collect();
    for record in &facts.history.records {
        if let What::Panicked { message } = &record.what {
            broken.push(format!("a panic: {message}"));
        }
        if let What::Rested { session, cursors } = &record.what {
            let known = |conversation| {
                cursors
                    .iter()
                    .find(|(known, _)| *known == conversation)
                    .map(|(_, at)| *at)
            };
            broken.extend(deaf(facts, *session, known));
        }
    }
    broken
}

fn untold(facts: &Facts<'_>, call: &Call<'_>) -> Option<String> {
    let what = format!("{} µs: {:?} by {}", call.asked, call.request, call.user);
    let Some((answered, reply)) = call.answered else {
        return Some(format!("{what} was never answered"));
    };
    let took = answered - call.asked;
    let patience = facts.history.conditions.patience_us;
    match reply {
        Reply::Hung => Some(format!("{what} hung")),
        // Who goes away after all that time has waited in vain.
        _ if patience > 0 && took > patience => Some(format!("{what} took {took} µs: {reply:?}")),
        Reply::Abandoned => None,
        Reply::Failed { kind, .. } if kind == "Internal" => {
            Some(format!("{what} met a defect, by its own account"))
        }
        Reply::Failed { kind, .. } => {
            let Request::Read { conversation, .. } = call.request else {
                return None;
            };
            let refused = kind == "NotFound" || kind == "Forbidden";
            (refused && facts.present(*conversation, call.user, call.asked, answered))
                .then(|| format!("{what} was refused as {kind} to a member"))
        }
        Reply::Acked { .. } | Reply::Done => None,
    }
}

fn deaf(
    facts: &Facts<'_>,
    session: SessionNo,
    known: impl Fn(darda_core::model::ConversationId) -> Option<darda_core::model::Position>,
) -> Vec<String> {
    let Some(owner) = facts.sessions.get(&session) else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    for log in &facts.history.outcome.logs {
        let Some(last) = log.visible_to(owner.user).last() else {
            continue;
        };
        let cursor = known(log.conversation);
        if cursor.is_none_or(|cursor| cursor < last.position) {
            broken.push(format!(
                "session {session} of {} lived on, has {} up to {cursor:?} and was not told of {}",
                owner.user, log.conversation, last.position
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;
    use crate::history::Reply;

    #[test]
    fn an_error_in_time_is_an_answer() {
        assert!(
            Story::direct()
                .failed_send("alice", "1")
                .judge(broken)
                .is_empty()
        );
    }

    #[test]
    fn a_call_without_an_end_is_found() {
        assert_eq!(
            Story::direct()
                .unanswered_send("alice", "1")
                .judge(broken)
                .len(),
            1
        );
    }

    #[test]
    fn a_call_that_takes_too_long_is_found() {
        let story = Story::direct()
            .patience(50)
            .read_taking("alice", 51, Reply::Done);
        assert_eq!(story.judge(broken).len(), 1);
        let story = Story::direct()
            .patience(50)
            .read_taking("alice", 50, Reply::Done);
        assert!(story.judge(broken).is_empty());
    }

    #[test]
    fn a_defect_is_found() {
        let defect = Reply::Failed {
            kind: "Internal".into(),
            transient: false,
        };
        assert_eq!(
            Story::direct()
                .read_taking("alice", 1, defect)
                .judge(broken)
                .len(),
            1
        );
    }

    #[test]
    fn a_panic_is_found() {
        assert_eq!(Story::direct().panic().judge(broken).len(), 1);
    }

    #[test]
    fn a_member_who_is_told_that_there_is_no_conversation_is_found() {
        let gone = || Reply::Failed {
            kind: "NotFound".into(),
            transient: false,
        };
        let story = Story::group(&["bob"]).read_taking("bob", 1, gone());
        assert_eq!(story.judge(broken).len(), 1);
        let story = Story::group(&["bob"])
            .remove("bob")
            .read_taking("bob", 1, gone());
        assert!(story.judge(broken).is_empty());
    }

    #[test]
    fn a_session_that_never_learns_of_an_entry_is_found() {
        let story = || Story::direct().acked_send("alice", "1", 10);
        assert_eq!(story().rested("bob", None).judge(broken).len(), 1);
        assert_eq!(story().rested("bob", Some(9)).judge(broken).len(), 1);
        assert!(story().rested("bob", Some(10)).judge(broken).is_empty());
    }
}
