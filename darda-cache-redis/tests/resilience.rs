//! What happens when Redis is away, hangs, is full, or forgets its scripts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::time::{Duration, Instant};

use darda_backends::{Logged, Passage, Proxy, Redis, RedisOptions, or_skip};
use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::ErrorKind;
use darda_core::model::{Body, NodeId};
use darda_core::ports::{Append, Appended, Cache, SessionRegistry};
use tracing::Level;

use support::{append, connect, kind, log, persist, quick, send, until};

async fn server(options: RedisOptions) -> Option<Redis> {
    or_skip(Redis::start(options).await)
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let Some(redis) = server(RedisOptions::default()).await else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let (cache, name) = (ports.cache(), log("log"));
    send(&*cache, name, "1").await.unwrap();
    redis.cli(&["script", "flush"]).await.unwrap();
    send(&*cache, name, "2").await.unwrap();
    redis.cli(&["script", "flush"]).await.unwrap();
    assert_eq!(
        cache.claim_overdue(Duration::ZERO, 10).await.unwrap().len(),
        2
    );
}

/// The numbers of the server's clients, but for the one that asks.
async fn clients(redis: &Redis) -> Vec<String> {
    let list = redis.cli(&["client", "list"]).await.unwrap();
    let clients = list
        .lines()
        .filter(|line| line.contains("lib-name=redis-rs"));
    clients
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable_in_time_and_comes_back() {
    let Some(mut redis) = server(RedisOptions::default()).await else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let (cache, name) = (ports.cache(), log("log"));
    send(&*cache, name, "1").await.unwrap();
    let before = clients(&redis).await;
    assert_eq!(before.len(), 1, "one connection: {before:?}");
    redis.server().pause();
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(kind(send(&*cache, name, "2").await), ErrorKind::Unavailable);
        // The timeout is half a second; the rest is for a busy machine.
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }
    redis.server().resume();
    persist(|| cache.append(append(name, "2", true))).await;
    // The server may learn of the old one's end after it has answered the new one.
    until("the connection is given up", async || {
        let after = clients(&redis).await;
        after.iter().all(|client| !before.contains(client))
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_made_again_before_it_is_needed() {
    let Some(redis) = server(RedisOptions::default()).await else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let before = clients(&redis).await;
    redis
        .cli(&["client", "kill", "type", "normal"])
        .await
        .unwrap();
    until("there is another connection", async || {
        let now = clients(&redis).await;
        !now.is_empty() && now != before
    })
    .await;
    ports.ping().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_swallows_everything_is_made_anew() {
    let Some(redis) = server(RedisOptions::default()).await else {
        return;
    };
    let proxy = Proxy::start(redis.port()).await.unwrap();
    let ports = connect(&proxy.instead_of(redis.port(), &redis.url())).await;
    let (cache, name) = (ports.cache(), log("log"));
    send(&*cache, name, "1").await.unwrap();
    proxy.set(Passage::Swallowing);
    assert_eq!(kind(send(&*cache, name, "2").await), ErrorKind::Unavailable);
    proxy.set(Passage::Open);
    persist(|| cache.append(append(name, "3", true))).await;
    proxy.cut();
    persist(|| cache.append(append(name, "4", true))).await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    let Some(mut redis) = server(RedisOptions::default()).await else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let (cache, registry, node) = (ports.cache(), ports.registry(), NodeId::new("n"));
    registry.renew(node.clone()).await.unwrap();
    redis.server().kill().await;
    assert_eq!(
        kind(send(&*cache, log("log"), "1").await),
        ErrorKind::Unavailable
    );
    assert_eq!(
        kind(registry.renew(node.clone()).await),
        ErrorKind::Unavailable
    );
    redis.start_again().await.unwrap();
    persist(|| registry.renew(node.clone())).await;
    send(&*cache, log("log"), "1").await.unwrap();
}

#[tokio::test]
async fn ports_are_made_while_redis_is_away() {
    let Some(mut redis) = server(RedisOptions::default()).await else {
        return;
    };
    redis.server().kill().await;
    let ports = connect(&redis.url()).await;
    assert_eq!(kind(ports.ping().await), ErrorKind::Unavailable);
    redis.start_again().await.unwrap();
    persist(|| ports.ping()).await;
}

#[tokio::test]
async fn closed_ports_answer_nothing() {
    let Some(redis) = server(RedisOptions::default()).await else {
        return;
    };
    let ports = connect(&redis.url()).await;
    ports.close().await;
    assert_eq!(kind(ports.ping().await), ErrorKind::Closed);
    drop(ports);
}

#[tokio::test]
async fn a_full_memory_is_busy_until_entries_are_settled() {
    let options = RedisOptions::default().with_setting("maxmemory", "8mb");
    let Some(redis) = server(options).await else {
        return;
    };
    let ports = connect(&redis.url()).await;
    let cache = ports.cache();
    let mut sent = Vec::new();
    let refused = loop {
        let name = log(&format!("{}", sent.len()));
        let append = Append {
            body: Body::Opaque(vec![7; 30_000].into()),
            ..append(name, "1", true)
        };
        match cache.append(append.clone()).await {
            Ok(Appended::New(entry)) => sent.push(entry),
            Ok(other) => panic!("not new: {other:?}"),
            Err(error) => break error,
        }
        // A repeat is answered all the same.
        let repeat = cache.append(append).await.unwrap();
        assert!(matches!(repeat, Appended::Repeat { .. }), "{repeat:?}");
        assert!(sent.len() < 1000, "it is never full");
    };
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.retry_after().is_some());
    let first = append(sent[0].conversation, "1", false);
    let repeat = cache.append(first).await.unwrap();
    assert!(
        matches!(
            repeat,
            Appended::Repeat {
                pending: Some(_),
                ..
            }
        ),
        "{repeat:?}"
    );
    assert_eq!(
        cache.claim_overdue(Duration::ZERO, 3).await.unwrap().len(),
        3
    );
    cache.settle(sent).await.unwrap();
    send(&*cache, log("more"), "1").await.unwrap();
}

#[tokio::test]
async fn a_server_that_evicts_is_warned_about() {
    let (logged, _guard) = Logged::listen(Level::TRACE);
    let options = RedisOptions::default()
        .with_setting("maxmemory", "64mb")
        .with_setting("maxmemory-policy", "allkeys-lru");
    let Some(mut redis) = server(options).await else {
        return;
    };
    let warnings = || {
        logged
            .text()
            .matches("evicts keys when its memory is full")
            .count()
    };
    let ports = connect(&redis.url()).await;
    assert_eq!(warnings(), 1, "{}", logged.text());
    // Again at each connection: another server may have another setting.
    redis.server().kill().await;
    redis.start_again().await.unwrap();
    persist(|| ports.ping()).await;
    assert_eq!(warnings(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_evict_is_not_warned_about() {
    let (logged, _guard) = Logged::listen(Level::TRACE);
    let Some(redis) = server(RedisOptions::default()).await else {
        return;
    };
    connect(&redis.url()).await.ping().await.unwrap();
    assert!(!logged.text().contains("WARN"), "{}", logged.text());
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let (logged, _guard) = Logged::listen(Level::TRACE);
    let options = RedisOptions::default().with_setting("requirepass", "s3cret");
    let Some(mut redis) = server(options).await else {
        return;
    };
    let url = |password: &str| redis.url().replace("://", &format!("://:{password}@"));
    let wrong = connect(&url("wr0ng")).await;
    let error = wrong.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let config = quick(&url("s3cret")).with_sentinel_credentials(None, "hidd3n");
    let shown = format!("{config:?}");
    let ports = RedisPorts::connect(config).await.unwrap();
    ports.ping().await.unwrap();
    redis.server().kill().await;
    let gone = ports.ping().await.unwrap_err();
    let all = format!(
        "{shown} {ports:?} {wrong:?} {error:?} {gone:?} {}",
        logged.text()
    );
    for secret in ["s3cret", "wr0ng", "hidd3n"] {
        assert!(!all.contains(secret), "{secret} is shown: {all}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_at_once() {
    for config in [
        RedisConfig::new("http://127.0.0.1"),
        RedisConfig::new("redis+sentinel://127.0.0.1"),
        RedisConfig::new("redis://127.0.0.1:1").with_prefix("a{b}"),
    ] {
        assert_eq!(kind(RedisPorts::connect(config).await), ErrorKind::Invalid);
    }
}
