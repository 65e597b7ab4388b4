//! A database that dies, hangs, or is not there yet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it speaks for tests"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use darda_backends::{Mongo, MongoOptions, Passage, Proxy, or_skip};
use darda_core::ErrorKind;
use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use darda_core::ports::{Inserted, Range, Store};
use darda_store_mongo::{MongoConfig, MongoStore};
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// What a call may take beyond its time, on a machine that has much to do.
const SLACK: Duration = Duration::from_secs(2);
const OPERATION: Duration = Duration::from_secs(2);
/// From the database's return to calls that succeed.
const RECOVERY: Duration = Duration::from_secs(8);

fn conversation() -> ConversationId {
    let alice = UserId::new("alice").unwrap();
    ConversationId::group(&alice, &ClientId::new("group").unwrap())
}

fn entry(position: u64) -> Arc<Entry> {
    let sender = UserId::new("alice").unwrap();
    let client_id = ClientId::new(position.to_string()).unwrap();
    Arc::new(Entry {
        conversation: conversation(),
        position: Position(position),
        prev: None,
        epoch: Epoch(0),
        id: EntryId::derive(conversation(), &sender, &client_id),
        sender,
        client_id,
        body: "text".into(),
        incarnation: 1,
        relocated: false,
    })
}

fn config(url: String) -> MongoConfig {
    MongoConfig::new(url, "darda_test").with_operation_timeout(OPERATION)
}

/// That many calls at once, each of which fails as `Unavailable` and in time.
async fn all_fail_in_time(store: &MongoStore, first: u64, count: u64) {
    let calls = (first..first + count).map(|position| async move {
        let started = Instant::now();
        let failed = store.insert(vec![entry(position)]).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable, "{failed:?}");
        assert!(failed.retry_after().is_some());
        assert!(
            started.elapsed() < OPERATION + SLACK,
            "{:?}",
            started.elapsed()
        );
        let failed = store
            .page(conversation(), Range::NEWEST, 10)
            .await
            .unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable, "{failed:?}");
        assert!(
            started.elapsed() < 2 * (OPERATION + SLACK),
            "{:?}",
            started.elapsed()
        );
    });
    join_all(calls).await;
}

async fn recovers(store: &MongoStore, first: u64, count: u64) {
    let started = Instant::now();
    for position in first..first + count {
        let stored = async || store.insert(vec![entry(position)]).await;
        timeout(RECOVERY, support::until_ok(stored))
            .await
            .expect("it recovers in time");
    }
    assert!(started.elapsed() < RECOVERY, "{:?}", started.elapsed());
    let page = store
        .page(conversation(), Range::After(Position(first - 1)), 200)
        .await
        .unwrap();
    let positions: Vec<_> = page.iter().map(|entry| entry.position.0).collect();
    assert_eq!(positions, (first..first + count).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_starts_while_the_database_is_away() {
    let Some(mut mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    mongo.server().kill().await;
    let store = MongoStore::connect(config(mongo.url())).await.unwrap();
    all_fail_in_time(&store, 1, 2).await;
    mongo.start_again().await.unwrap();
    timeout(RECOVERY, store.ready())
        .await
        .expect("it becomes ready")
        .unwrap();
    recovers(&store, 1, 2).await;
}

#[tokio::test]
async fn a_hung_database_makes_calls_fail_in_time_and_is_used_again_when_it_goes_on() {
    let Some(mut mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    let store = support::ready(config(mongo.url()).with_max_pool_size(4)).await;
    store.insert(vec![entry(1)]).await.unwrap();
    let hung = Instant::now();
    mongo.server().pause();
    // More calls than connections, for as long as it hangs.
    while hung.elapsed() < Duration::from_secs(10) {
        all_fail_in_time(&store, 2, 12).await;
    }
    mongo.server().resume();
    recovers(&store, 2, 12).await;
}

#[tokio::test]
async fn a_network_that_swallows_everything_makes_calls_fail_in_time_and_is_used_again() {
    let Some(mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    let proxy = Proxy::start(mongo.port()).await.unwrap();
    let url = proxy.instead_of(mongo.port(), &mongo.url());
    let store = support::ready(config(url).with_max_pool_size(4)).await;
    store.insert(vec![entry(1)]).await.unwrap();
    let swallowed = Instant::now();
    proxy.set(Passage::Swallowing);
    while swallowed.elapsed() < Duration::from_secs(10) {
        all_fail_in_time(&store, 2, 12).await;
    }
    proxy.set(Passage::Open);
    recovers(&store, 2, 12).await;
}

#[tokio::test]
async fn connections_that_are_cut_are_made_again() {
    let Some(mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    let proxy = Proxy::start(mongo.port()).await.unwrap();
    let url = proxy.instead_of(mongo.port(), &mongo.url());
    let store = support::ready(config(url)).await;
    for round in 0..5 {
        proxy.cut();
        recovers(&store, 1 + 10 * round, 10).await;
    }
}

#[tokio::test]
async fn nothing_that_was_stored_is_lost_when_the_database_is_killed_under_load() {
    let Some(mut mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    let store = support::ready(config(mongo.url())).await;
    let over = AtomicBool::new(false);
    let (told, mut count) = watch::channel(0);
    let writers = (0..4_u64).map(|writer| {
        let (store, over, told) = (&store, &over, &told);
        async move {
            let mut stored = Vec::new();
            let mut next = 1 + writer * 1_000_000;
            while !over.load(Ordering::Relaxed) {
                let batch: Vec<_> = (next..next + 10).map(entry).collect();
                next += 10;
                let insert = async || store.insert(batch.clone()).await;
                let inserted = support::until_ok(insert).await;
                let kept = inserted
                    .iter()
                    .all(|inserted| matches!(inserted, Inserted::New | Inserted::Repeat));
                assert!(kept, "{inserted:?}");
                stored.extend(batch.iter().map(|entry| entry.position.0));
                told.send_modify(|count| *count += batch.len());
            }
            stored
        }
    });
    let kills = async {
        let mut enough = 0;
        for kill in 0..4 {
            enough += 400;
            count.wait_for(|count| *count >= enough).await.unwrap();
            if kill < 3 {
                mongo.server().kill().await;
                mongo.keeper().kill().await;
                mongo.start_again().await.unwrap();
                enough = *count.borrow();
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    let (stored, ()) = futures::join!(join_all(writers), kills);
    let mut expected = stored.concat();
    expected.sort_unstable();
    let (mut found, mut after) = (Vec::new(), Position(0));
    loop {
        let page = store
            .page(conversation(), Range::After(after), 200)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        found.extend(page.iter().map(|entry| entry.position.0));
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn closing_ends_in_time_also_while_the_database_hangs() {
    let Some(mut mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    let store = support::ready(config(mongo.url())).await;
    mongo.server().pause();
    let _ = store.relocate(entry(1)).await.unwrap_err();
    timeout(OPERATION + SLACK, store.close())
        .await
        .expect("it closes");
    mongo.server().resume();
}
