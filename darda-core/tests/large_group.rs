//! A group so large that waking its receivers for each message is what costs most.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use darda_core::model::{ClientId, ConversationId, HistoryStart, MemberChange, UserId};
use darda_core::ports::EventBody;
use darda_core::{Chat, Options, Ports, SendRequest, Session};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const MESSAGES: usize = 100;
/// Between two messages.
const APART: Duration = Duration::from_millis(1);

fn user(number: usize) -> UserId {
    UserId::new(format!("user{number}")).unwrap()
}

fn client_id(name: impl ToString) -> ClientId {
    ClientId::new(name.to_string()).unwrap()
}

/// A group's owner and the others, all connected.
async fn group(chat: &Chat, members: usize) -> (Session, ConversationId, Vec<Session>) {
    let owner = chat.connect(user(0)).await.unwrap();
    let (title, history) = ("large".to_owned(), HistoryStart::Beginning);
    let group = owner
        .create_group(client_id("group"), title, Vec::new(), history)
        .await;
    let (group, _) = group.unwrap();
    let mut others = Vec::new();
    for number in 1..members {
        others.push(chat.connect(user(number)).await.unwrap());
    }
    let users: Vec<_> = (1..members).map(user).collect();
    for (at, users) in users.chunks(100).enumerate() {
        let change = MemberChange::Add {
            users: users.to_vec(),
        };
        let change = owner.change_members(group, client_id(format!("add{at}")), change);
        change.await.unwrap();
    }
    (owner, group, others)
}

/// How often each receiver woke for the messages, and how late each message was.
async fn wakes(members: usize) -> (Vec<usize>, Duration) {
    let chat = Chat::start(Ports::in_memory(), Options::default());
    let (owner, group, others) = group(&chat, members).await;
    // What is told of the changes is not counted.
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let mut receivers = JoinSet::new();
    for session in others {
        receivers.spawn(async move {
            let (mut seen, mut woken, mut latest) = (0, 0, Duration::ZERO);
            while seen < MESSAGES {
                let mut events = Vec::new();
                assert!(session.events(&mut events).await);
                let before = seen;
                for event in events {
                    if let EventBody::Entry(entry) = event.body()
                        && entry.body.is_message()
                    {
                        assert_eq!(entry.client_id, client_id(seen));
                        latest = latest.max(start.elapsed().saturating_sub(APART * seen as u32));
                        seen += 1;
                    }
                }
                woken += usize::from(seen > before);
            }
            (woken, latest)
        });
    }
    for number in 0..MESSAGES {
        let send = SendRequest::new(group, client_id(number), "hello");
        owner.send(send).await.unwrap();
        sleep(APART).await;
    }
    let received = receivers.join_all().await;
    assert_eq!(received.len(), members - 1);
    let latest = received.iter().map(|(_, latest)| *latest).max().unwrap();
    (
        received.into_iter().map(|(woken, _)| woken).collect(),
        latest,
    )
}

#[tokio::test(start_paused = true)]
async fn its_receivers_wake_for_several_messages_at_a_time_and_get_them_all() {
    let (woken, latest) = wakes(1_000).await;
    // Once in 8 ms, 8 µs for each receiver, and what timers add.
    let few = MESSAGES / 12..=MESSAGES / 6;
    assert!(woken.iter().all(|woken| few.contains(woken)), "{woken:?}");
    assert!(latest <= Duration::from_millis(11), "{latest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_small_group_wakes_for_each() {
    let (woken, latest) = wakes(50).await;
    assert!(woken.iter().all(|woken| *woken == MESSAGES), "{woken:?}");
    assert!(latest <= Duration::from_millis(1), "{latest:?}");
}

#[tokio::test(start_paused = true)]
async fn who_sends_is_woken_for_what_was_told_before() {
    let chat = Chat::start(Ports::in_memory(), Options::default().without_rate_limits());
    let (owner, group, mut others) = group(&chat, 201).await;
    sleep(Duration::from_secs(2)).await;
    let one = Arc::new(others.remove(0));
    let receiving = one.clone();
    let seen = Arc::new(AtomicUsize::new(0));
    let receiver = {
        let seen = seen.clone();
        async move {
            loop {
                let mut events = Vec::new();
                assert!(receiving.events(&mut events).await);
                let messages = events.iter().filter(|event| {
                    matches!(event.body(), EventBody::Entry(entry) if entry.body.is_message())
                });
                seen.fetch_add(messages.count(), Ordering::Relaxed);
            }
        }
    };
    tokio::spawn(receiver);
    tokio::task::yield_now().await;
    // The first one wakes it. The others are as many as are told quietly at the most.
    for number in 0..65 {
        let send = SendRequest::new(group, client_id(number), "hello");
        drop(owner.append(send).await.unwrap());
        if number == 0 {
            tokio::task::yield_now().await;
        }
    }
    let send = SendRequest::new(group, client_id("own"), "hello");
    drop(one.append(send).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.load(Ordering::Relaxed), 65);
}
