//! Whatever may have lost something begins a new incarnation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use darda_backends::{Passage, Proxy, Redis, RedisOptions, or_skip};
use darda_cache_redis::RedisPorts;
use darda_core::ErrorKind;
use darda_core::ports::{Appended, Cache, Range, Settled};

use support::{append, connect, kind, log, persist, send, until};

/// A server on which an entry waits and another one is settled; what is said of them after a loss of
/// everything, or of only the latest.
async fn lost_after(
    redis: &mut Redis,
    ports: &RedisPorts,
    lose: impl AsyncFnOnce(&mut Redis),
) -> usize {
    let (cache, name) = (ports.cache(), log("log"));
    let waiting = send(&*cache, name, "waiting").await.unwrap();
    let settled = send(&*cache, name, "settled").await.unwrap();
    assert_eq!(
        cache.settle(vec![settled.clone()]).await.unwrap(),
        [Settled::Cleared]
    );

    lose(redis).await;

    assert_eq!(persist(|| cache.epochs(vec![name])).await, [None]);
    assert_eq!(cache.heads(vec![name]).await.unwrap(), [None]);
    let kept = cache.recent(name, Range::OLDEST, 10).await.unwrap();
    assert_eq!((kept.head, kept.last, kept.epoch), (None, None, None));
    let stale = cache.append(append(name, "new", false)).await.unwrap();
    assert!(matches!(stale, Appended::StaleEpoch), "{stale:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let new = send(&*cache, name, "new").await.unwrap();
    assert_eq!(new.prev, None);
    assert_ne!(new.incarnation, waiting.incarnation);
    assert!(new.position > settled.position);
    let ahead = u128::from(new.position.0).checked_sub(now.as_micros());
    assert!(
        ahead.is_some_and(|ahead| ahead >= 1_000_000),
        "{ahead:?} microseconds ahead"
    );
    assert_eq!(
        cache.settle(vec![waiting.clone()]).await.unwrap(),
        [Settled::Lost]
    );
    assert_eq!(cache.find(name, waiting.id).await.unwrap(), None);
    assert_eq!(cache.settle(vec![new]).await.unwrap(), [Settled::Cleared]);
    kept.entries.len()
}

#[tokio::test]
async fn a_restart_with_an_append_only_file_begins_one() {
    let Some(mut redis) = or_skip(Redis::start(RedisOptions::default().persistent()).await) else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let kept = lost_after(&mut redis, &ports, async |redis: &mut Redis| {
        redis.server().kill().await;
        redis.start_again().await.unwrap();
    })
    .await;
    assert_eq!(kept, 2, "the file brings the entries back");
}

#[tokio::test]
async fn a_restart_without_memory_begins_one() {
    let Some(mut redis) = or_skip(Redis::start(RedisOptions::default()).await) else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let kept = lost_after(&mut redis, &ports, async |redis: &mut Redis| {
        redis.server().kill().await;
        redis.start_again().await.unwrap();
    })
    .await;
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn flushing_begins_one() {
    let Some(mut redis) = or_skip(Redis::start(RedisOptions::default()).await) else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let kept = lost_after(&mut redis, &ports, async |redis: &mut Redis| {
        redis.cli(&["flushall"]).await.unwrap();
    })
    .await;
    assert_eq!(kept, 0);
}

/// Demoted and promoted again while a connection stays open: it may have taken an older copy.
#[tokio::test]
async fn a_server_that_was_a_copy_for_a_while_begins_one() {
    let Some(mut redis) = or_skip(Redis::start(RedisOptions::default()).await) else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let kept = lost_after(&mut redis, &ports, async |redis: &mut Redis| {
        // Nobody is there to copy from, so that it keeps what it has.
        redis.cli(&["replicaof", "127.0.0.1", "1"]).await.unwrap();
        redis.cli(&["replicaof", "no", "one"]).await.unwrap();
    })
    .await;
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn a_copy_answers_nothing() {
    let Some(redis) = or_skip(Redis::start(RedisOptions::default()).await) else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let (cache, name) = (ports.cache(), log("log"));
    let entry = send(&*cache, name, "1").await.unwrap();
    redis.cli(&["replicaof", "127.0.0.1", "1"]).await.unwrap();
    let unavailable = ErrorKind::Unavailable;
    assert_eq!(kind(cache.epochs(vec![name]).await), unavailable);
    assert_eq!(kind(cache.heads(vec![name]).await), unavailable);
    assert_eq!(
        kind(cache.recent(name, Range::NEWEST, 1).await),
        unavailable
    );
    assert_eq!(kind(cache.find(name, entry.id).await), unavailable);
    assert_eq!(kind(cache.changes(name).await), unavailable);
    assert_eq!(kind(cache.settle(vec![entry]).await), unavailable);
    assert_eq!(
        kind(cache.append(append(name, "2", true)).await),
        unavailable
    );
    redis.cli(&["replicaof", "no", "one"]).await.unwrap();
    persist(|| send(&*cache, name, "3")).await;
}

#[tokio::test]
async fn a_promoted_copy_that_lagged_has_lost_what_came_after_it() {
    let Some(mut master) = or_skip(Redis::start(RedisOptions::default()).await) else {
        return;
    };
    let link = Proxy::start(master.port()).await.unwrap();
    let copy = Redis::start(RedisOptions::default().replica_of(link.port()))
        .await
        .unwrap();
    until("the copy follows", async || {
        copy.cli(&["info", "replication"])
            .await
            .unwrap()
            .contains("master_link_status:up")
    })
    .await;

    let (cache, name) = (connect(&master.url()).await.cache(), log("log"));
    let waiting = send(&*cache, name, "waiting").await.unwrap();
    let settled = send(&*cache, name, "settled").await.unwrap();
    cache.settle(vec![settled.clone()]).await.unwrap();
    assert_eq!(
        master.cli(&["wait", "1", "5000"]).await.unwrap().trim(),
        "1"
    );
    link.set(Passage::Swallowing);
    let lost = send(&*cache, name, "lost").await.unwrap();
    master.server().kill().await;
    link.cut();
    copy.cli(&["replicaof", "no", "one"]).await.unwrap();

    let cache = connect(&copy.url()).await.cache();
    let recent = cache.recent(name, Range::OLDEST, 10).await.unwrap();
    assert_eq!(recent.entries, [waiting.clone(), settled.clone()]);
    assert_eq!((recent.head, recent.epoch), (None, None));
    let all = vec![settled, waiting, lost.clone()];
    use Settled::{Known, Lost};
    let waits = cache.lost(all.clone()).await.unwrap();
    assert_eq!(waits, [false, true, true]);
    assert_eq!(cache.settle(all).await.unwrap(), [Known, Lost, Lost]);
    let again = send(&*cache, name, "lost").await.unwrap();
    assert_eq!(again.prev, None);
    assert!(again.position > lost.position);
}
