//! The answer to a resume is bounded, whatever is named in it and however large what was missed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scene that cannot be made fails its test"
)]

use darda_core::model::limits::{MAX_OPAQUE_BYTES, MAX_RESUME_BYTES};
use darda_core::model::{Body, ClientId, ConversationId, HistoryStart, Position, UserId};
use darda_core::{Attached, CatchUp, Chat, Options, Ports, SendRequest, Session};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client_id(name: impl ToString) -> ClientId {
    ClientId::new(name.to_string()).unwrap()
}

async fn two() -> (Session, Session, Chat) {
    let chat = Chat::start(Ports::in_memory(), Options::default().without_rate_limits());
    let alice = chat.connect(user("alice")).await.unwrap();
    let bob = chat.connect(user("bob")).await.unwrap();
    (alice, bob, chat)
}

/// Where the group begins.
async fn group(alice: &Session, name: impl ToString) -> (ConversationId, Position) {
    let made = alice.create_group(
        client_id(name.to_string()),
        name.to_string(),
        vec![user("bob")],
        HistoryStart::Beginning,
    );
    let (group, ack) = made.await.unwrap();
    (group, ack.position)
}

async fn say(alice: &Session, group: ConversationId, name: impl ToString, body: impl Into<Body>) {
    let send = SendRequest::new(group, client_id(name), body);
    alice.send(send).await.unwrap();
}

fn opaque_bytes(attached: &Attached) -> usize {
    let entries = attached.entries.iter();
    let bytes = entries.map(|entry| match &entry.body {
        Body::Opaque(payload) => payload.len(),
        body => panic!("{body:?}"),
    });
    bytes.sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_the_answer_is_a_gap_from_the_cursor() {
    const EACH: usize = 60;
    const GROUPS: usize = 20;
    let (alice, bob, _chat) = two().await;
    let payload = vec![0; MAX_OPAQUE_BYTES];
    let mut cursors = Vec::new();
    for number in 0..GROUPS {
        let (group, begin) = group(&alice, format!("group {number}")).await;
        cursors.push((group, begin));
        for name in 0..EACH {
            let body = Body::Opaque(payload.clone().into());
            say(&alice, group, format!("{number}/{name}"), body).await;
        }
    }
    let answers = bob.resume(cursors.clone()).await.unwrap();
    let mut bytes = 0;
    let mut named: Vec<_> = Vec::new();
    for (conversation, attached) in answers {
        let attached = attached.unwrap();
        let (_, cursor) = cursors.iter().find(|(of, _)| *of == conversation).unwrap();
        bytes += opaque_bytes(&attached);
        named.push(conversation);
        if attached.entries.is_empty() {
            let gap = CatchUp::Gap {
                after: *cursor,
                before: None,
            };
            assert_eq!(attached.catch_up, gap);
            let attached = bob.attach(conversation, Some(*cursor)).await.unwrap();
            assert_eq!(attached.catch_up, CatchUp::Complete);
            assert_eq!(attached.entries.len(), EACH);
        } else {
            assert_eq!(attached.catch_up, CatchUp::Complete);
        }
    }
    assert!(bytes <= MAX_RESUME_BYTES, "{bytes}");
    assert!(bytes > MAX_RESUME_BYTES / 2, "{bytes}");
    let all: Vec<_> = cursors.iter().map(|(group, _)| *group).collect();
    assert_eq!(named, all);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_named_again_is_answered_once_from_its_lowest_cursor() {
    let (alice, bob, _chat) = two().await;
    let (group, begin) = group(&alice, "group").await;
    for number in 0..20 {
        say(&alice, group, number, "hello").await;
    }
    let whole = bob.attach(group, Some(begin)).await.unwrap();
    let positions = whole.entries.iter().rev().map(|entry| entry.position);
    let cursors = positions.chain([begin]).map(|cursor| (group, cursor));
    let mut answers = bob.resume(cursors.collect()).await.unwrap();
    assert_eq!(answers.len(), 1);
    let (named, attached) = answers.remove(0);
    assert_eq!((named, attached.unwrap()), (group, whole));
}
