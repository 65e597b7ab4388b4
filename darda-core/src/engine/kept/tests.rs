use std::sync::Arc;

use super::super::publish::To;
use super::*;
use crate::model::{Entry, Epoch, MemberChange};
use crate::ports::LiveEvent;
use crate::samples;

const LIMIT: usize = 2;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn conversation(name: &str) -> ConversationId {
    ConversationId::direct(&user(name), &user("bob"))
}

fn outgoing(audience: Audience, body: EventBody) -> Outgoing {
    let event = LiveEvent {
        audience,
        origin: None,
        event: body.into(),
    };
    Outgoing { event, to: To::All }
}

fn entry(name: &str, position: u64) -> Outgoing {
    with_body(name, position, "hello".into())
}

fn leaves(name: &str, position: u64) -> Outgoing {
    let body = Body::Members {
        base: Epoch(0),
        change: MemberChange::Leave,
    };
    with_body(name, position, body)
}

fn with_body(name: &str, position: u64, body: Body) -> Outgoing {
    let conversation = conversation(name);
    let audience = Audience::Members {
        conversation,
        epoch: Epoch(0),
    };
    let entry = Entry {
        sender: user(name),
        ..samples::entry(conversation, position, body)
    };
    outgoing(audience, EventBody::Entry(Arc::new(entry)))
}

fn joined(name: &str, who: &str) -> Outgoing {
    let conversation = conversation(name);
    let audience = Audience::Users(vec![user(who)]);
    outgoing(audience, EventBody::Joined { conversation })
}

fn left(name: &str, who: &str) -> Outgoing {
    let conversation = conversation(name);
    let audience = Audience::Users(vec![user(who)]);
    outgoing(audience, EventBody::Left { conversation })
}

fn typing(name: &str) -> Outgoing {
    let conversation = conversation(name);
    let audience = Audience::Members {
        conversation,
        epoch: Epoch(0),
    };
    let body = EventBody::Typing {
        conversation,
        user: user(name),
        active: true,
    };
    outgoing(audience, body)
}

/// What is tried again, when its time has come.
async fn taken(kept: &mut Kept) -> Vec<String> {
    kept.is_due().await;
    let events = kept.take_due(10).into_iter();
    let mut taken: Vec<_> = events
        .map(|outgoing| match outgoing.event.event.body() {
            EventBody::Entry(entry) => format!("{} {}", entry.sender, entry.position.0),
            EventBody::Joined { .. } => "joined".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    taken.sort();
    taken
}

#[tokio::test(start_paused = true)]
async fn the_newest_entry_of_each_conversation_is_tried_again_after_a_second() {
    let mut kept = Kept::new(LIMIT);
    let failed = vec![entry("alice", 1), entry("carol", 7), entry("alice", 2)];
    assert_eq!(kept.keep(failed), 1);
    // The reaper hands over what is old.
    assert_eq!(kept.keep(vec![entry("alice", 1)]), 1);
    assert!(kept.take_due(10).is_empty());
    let began = Instant::now();
    assert_eq!(taken(&mut kept).await, ["alice 2", "carol 7"]);
    assert_eq!(began.elapsed(), TRY_AGAIN);
    assert!(kept.take_due(10).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_later_event_tells_is_not_tried_again() {
    let mut kept = Kept::new(LIMIT);
    kept.keep(vec![entry("alice", 2), entry("carol", 7)]);
    assert_eq!(kept.supersede(&[entry("alice", 1), typing("alice")]), 0);
    assert_eq!(kept.supersede(&[entry("alice", 3)]), 1);
    assert_eq!(taken(&mut kept).await, ["carol 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_members_is_told_besides_what_comes_after_it() {
    let mut kept = Kept::new(LIMIT);
    assert_eq!(kept.keep(vec![leaves("alice", 1), entry("alice", 2)]), 0);
    assert_eq!(kept.supersede(&[entry("alice", 3)]), 1);
    assert_eq!(taken(&mut kept).await, ["alice 1"]);
}

#[tokio::test(start_paused = true)]
async fn who_joined_is_kept_and_what_passes_or_is_told_besides_is_not() {
    let mut kept = Kept::new(LIMIT);
    let failed = vec![
        joined("alice", "dave"),
        typing("alice"),
        left("alice", "dave"),
        joined("alice", "erin"),
    ];
    assert_eq!(kept.keep(failed), 2);
    assert_eq!(taken(&mut kept).await, ["joined", "joined"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_there_is_room_for() {
    let mut kept = Kept::new(LIMIT);
    let failed = vec![entry("alice", 1), entry("carol", 1), entry("dave", 1)];
    assert_eq!(kept.keep(failed), 1);
    assert_eq!(kept.keep(vec![entry("carol", 2)]), 1);
    assert_eq!(taken(&mut kept).await, ["alice 1", "carol 2"]);
}
