//! What stands in Redis: every key expires or is bounded, and nothing that waits is forgotten.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use darda_backends::{Redis, RedisOptions, or_skip};
use darda_cache_redis::{RedisCache, RedisPorts};
use darda_core::model::{Body, ConversationId, Epoch, MemberChange, NodeId, SessionId};
use darda_core::ports::{
    Admission, Append, Appended, Cache, Lease, Presence, Range, SessionRegistry, Settled,
};
use futures::future::try_join_all;

use support::{append, connect, log, quick, send, until, user};

/// A server of the test's own, its ports, and a connection to look at it.
struct Seen {
    redis: Redis,
    ports: RedisPorts,
    raw: redis::aio::MultiplexedConnection,
}

async fn seen() -> Option<Seen> {
    let redis = or_skip(Redis::start(RedisOptions::default()).await)?;
    let ports = RedisPorts::connect(quick(&redis.url()).with_lease(Duration::from_secs(1)));
    let client = redis::Client::open(redis.url()).unwrap();
    Some(Seen {
        ports: ports.await.unwrap(),
        raw: client.get_multiplexed_async_connection().await.unwrap(),
        redis,
    })
}

impl Seen {
    async fn ask<T: redis::FromRedisValue>(&mut self, command: &str, key: &[u8]) -> T {
        let command = redis::cmd(command).arg(key).clone();
        command.query_async(&mut self.raw).await.unwrap()
    }

    /// All keys, each with the letter of its kind and the seconds it has left.
    async fn keys(&mut self) -> Vec<(Vec<u8>, char, i64)> {
        let keys: Vec<Vec<u8>> = self.ask("KEYS", b"*").await;
        let mut all = Vec::new();
        for key in keys {
            let left = self.ask("TTL", &key).await;
            let text = String::from_utf8_lossy(&key);
            let rest = text.strip_prefix("darda:").unwrap();
            let kind = rest.split_once('}').map_or(rest, |(_, kind)| kind);
            let kind = kind.chars().next().unwrap();
            all.push((key, kind, left));
        }
        all
    }

    async fn of_kind(&mut self, wanted: char) -> Vec<u8> {
        let keys = self.keys().await;
        let mut found = keys.into_iter().filter(|(_, kind, _)| *kind == wanted);
        found.next().unwrap().0
    }
}

/// Appends many, some at a time, and settles them.
async fn store(cache: &RedisCache, log: ConversationId, numbers: std::ops::Range<usize>) {
    let numbers: Vec<_> = numbers.collect();
    for chunk in numbers.chunks(500) {
        let names: Vec<_> = chunk.iter().map(usize::to_string).collect();
        let sent = try_join_all(names.iter().map(|name| send(cache, log, name)));
        cache.settle(sent.await.unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn every_key_expires_or_belongs_to_the_outbox() {
    let Some(mut seen) = seen().await else { return };
    let (cache, registry) = (seen.ports.cache(), seen.ports.registry());
    let (a, b, raised, node) = (log("a"), log("b"), log("c"), NodeId::new("n"));
    let change = Body::Members {
        base: Epoch(0),
        change: MemberChange::Leave,
    };
    let mut entries = Vec::new();
    for number in 0..400 {
        entries.push(send(&*cache, a, &format!("{number}")).await.unwrap());
    }
    // The only id of a log goes and comes again.
    let first = send(&*cache, b, "1").await.unwrap();
    cache.withdraw(b, first.id, first.position).await.unwrap();
    let append = Append {
        body: change,
        ..append(b, "2", true)
    };
    let Appended::New(change) = cache.append(append).await.unwrap() else {
        panic!("not new");
    };
    entries.push(change);
    cache.raise_epoch(raised, Epoch(3)).await.unwrap();
    cache.claim_overdue(Duration::ZERO, 1000).await.unwrap();
    let session = SessionId {
        node: node.clone(),
        number: 1,
    };
    let session = vec![(user("u"), session)];
    registry.renew(node.clone()).await.unwrap();
    registry.register(node, session.clone()).await.unwrap();

    let keys = seen.keys().await;
    let kinds: std::collections::BTreeSet<_> = keys.iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds.into_iter().collect::<String>(), "bcdilmnopuw");
    for (key, kind, left) in &keys {
        let bounded = matches!(kind, 'i' | 'o' | 'b' | 'c' | 'p' | 'm');
        assert_eq!(
            *left == -1,
            bounded,
            "{left} s of {}",
            String::from_utf8_lossy(key)
        );
    }

    cache.settle(entries).await.unwrap();
    registry.unregister(session).await.unwrap();
    let left: String = seen.keys().await.iter().map(|(_, kind, _)| *kind).collect();
    assert!(
        !left.contains(['o', 'b', 'c', 'p', 'm']),
        "the outbox is empty: {left}"
    );
}

#[tokio::test]
async fn claims_double_up_to_32_times_the_age() {
    let Some(mut seen) = seen().await else { return };
    let (cache, age) = (seen.ports.cache(), Duration::from_secs(1000));
    send(&*cache, log("log"), "1").await.unwrap();
    let due = seen.of_kind('o').await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        // As if it had been waiting for ever.
        let members: Vec<Vec<u8>> = redis::cmd("ZRANGE")
            .arg(&due)
            .arg(0)
            .arg(-1)
            .query_async(&mut seen.raw)
            .await
            .unwrap();
        let overdue = redis::cmd("ZADD").arg(&due).arg(0).arg(&members[0]).clone();
        overdue.exec_async(&mut seen.raw).await.unwrap();
        assert_eq!(cache.claim_overdue(age, 10).await.unwrap().len(), 1);
        assert!(cache.claim_overdue(age, 10).await.unwrap().is_empty());
        let score = redis::cmd("ZSCORE").arg(&due).arg(&members[0]).clone();
        let score: f64 = score.query_async(&mut seen.raw).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // It is due when it has been there for the age.
        let wait = (score / 1e6 - now.as_secs_f64()) / age.as_secs_f64() + 1.0;
        waits.push(wait.round());
    }
    assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0]);
}

#[tokio::test]
async fn a_window_is_bounded() {
    let Some(mut seen) = seen().await else { return };
    let (cache, log) = (seen.ports.cache(), log("log"));
    store(&cache, log, 0..1000).await;
    let window = seen.of_kind('w').await;
    let held: usize = seen.ask("XLEN", &window).await;
    assert!((256..=320).contains(&held), "{held}");
    let recent = cache.recent(log, Range::OLDEST, 1000).await.unwrap();
    assert_eq!(recent.entries.len(), held);
}

/// Those that are carried over, since they wait, are not among the 10,000 that close a generation.
#[tokio::test]
async fn the_last_10000_ids_are_remembered_while_thousands_wait() {
    let Some(seen) = seen().await else { return };
    let (cache, log) = (seen.ports.cache(), log("log"));
    store(&cache, log, 0..600).await;
    let mut waiting = Vec::new();
    for number in 600..10_048 {
        waiting.push(send(&*cache, log, &number.to_string()).await.unwrap());
    }
    for some in waiting.chunks(500) {
        cache.settle(some.to_vec()).await.unwrap();
    }
    store(&cache, log, 10_048..10_880).await;
    let repeat = cache.append(append(log, "10000", false)).await.unwrap();
    assert!(matches!(repeat, Appended::Repeat { .. }), "{repeat:?}");
}

#[tokio::test]
async fn ids_are_bounded_but_those_that_wait_are_remembered() {
    let Some(mut seen) = seen().await else { return };
    let (cache, log) = (seen.ports.cache(), log("log"));
    let waiting = send(&*cache, log, "waiting").await.unwrap();
    store(&cache, log, 0..21_000).await;
    let (ids, earlier) = (seen.of_kind('d').await, seen.of_kind('f').await);
    let held: [usize; 2] = [
        seen.ask("HLEN", &ids).await,
        seen.ask("HLEN", &earlier).await,
    ];
    assert!(held[1] >= 10_000 && held[0] + held[1] <= 20_100, "{held:?}");
    assert!(seen.ask::<i64>("TTL", &ids).await > 0);

    let forgotten = cache.append(append(log, "0", false)).await.unwrap();
    assert!(matches!(forgotten, Appended::New(_)), "{forgotten:?}");
    let repeat = cache.append(append(log, "waiting", false)).await.unwrap();
    let Appended::Repeat { position, pending } = repeat else {
        panic!("forgotten: {repeat:?}");
    };
    assert_eq!(
        (position, pending.as_ref()),
        (waiting.position, Some(&waiting))
    );
    assert_eq!(cache.find(log, waiting.id).await.unwrap(), Some(waiting));
}

#[tokio::test]
async fn a_forgotten_log_begins_anew_without_losing_what_waits() {
    let Some(mut seen) = seen().await else { return };
    let (cache, log) = (seen.ports.cache(), log("log"));
    let waiting = send(&*cache, log, "waiting").await.unwrap();
    for (key, kind, _) in seen.keys().await {
        if "lwdf".contains(kind) {
            seen.ask::<()>("DEL", &key).await;
        }
    }
    assert_eq!(cache.epochs(vec![log]).await.unwrap(), [None]);
    let repeat = cache.append(append(log, "waiting", false)).await.unwrap();
    let right = matches!(&repeat, Appended::Repeat { position, pending: Some(_) }
        if *position == waiting.position);
    assert!(right, "{repeat:?}");
    assert_eq!(
        cache.find(log, waiting.id).await.unwrap().as_ref(),
        Some(&waiting)
    );
    let stale = cache.append(append(log, "new", false)).await.unwrap();
    assert!(matches!(stale, Appended::StaleEpoch), "{stale:?}");
    let new = send(&*cache, log, "new").await.unwrap();
    assert_eq!((new.prev, new.incarnation), (None, waiting.incarnation));
    assert!(new.position > waiting.position);
    assert_eq!(
        cache.settle(vec![waiting]).await.unwrap(),
        [Settled::Cleared]
    );
}

#[tokio::test]
async fn an_epoch_beyond_lua_s_numbers_is_refused() {
    let Some(seen) = seen().await else { return };
    let (cache, log) = (seen.ports.cache(), log("log"));
    let beyond = Epoch(1 << 53);
    assert!(cache.raise_epoch(log, beyond).await.is_err());
    let append = Append {
        admission: Admission::Relocated { epoch: beyond },
        ..append(log, "1", true)
    };
    assert!(cache.append(append).await.is_err());
}

#[tokio::test]
async fn two_processes_share_one_log() {
    let Some(seen) = seen().await else { return };
    let (one, log) = (seen.ports.cache(), log("log"));
    let other = connect(&seen.redis.url()).await.cache();
    let first = send(&*one, log, "1").await.unwrap();
    let second = send(&*other, log, "2").await.unwrap();
    assert_eq!(second.prev, Some(first.position));
    assert_eq!(second.incarnation, first.incarnation);
    let settled = one.settle(vec![second, first]).await.unwrap();
    assert_eq!(settled, [Settled::Cleared; 2]);
}

#[tokio::test]
async fn a_user_whose_node_died_was_last_seen_when_its_lease_ended() {
    let Some(mut seen) = seen().await else { return };
    let (registry, dead, living) = (seen.ports.registry(), NodeId::new("dead"), NodeId::new("n"));
    let user = user("u");
    let of = |node: &NodeId| {
        let session = SessionId {
            node: node.clone(),
            number: 1,
        };
        vec![(user.clone(), session)]
    };
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    registry.register(dead.clone(), of(&dead)).await.unwrap();
    let presence = async || {
        registry
            .presence(vec![user.clone()])
            .await
            .unwrap()
            .remove(0)
    };
    until("the lease ends", async || {
        presence().await != Presence::Online
    })
    .await;
    let Presence::Offline {
        last_seen_ms: Some(at),
    } = presence().await
    else {
        panic!("never seen");
    };
    let after = u128::from(at) - begun.as_millis();
    assert!(
        (1000..3000).contains(&after),
        "{after} ms after it was registered"
    );

    // It is swept out, and remembered all the same when the node has a new lease.
    let key = seen.of_kind('u').await;
    assert_eq!(seen.ask::<usize>("HLEN", &key).await, 1);
    assert_eq!(
        registry.renew(dead.clone()).await.unwrap(),
        Lease::Forgotten
    );
    assert_eq!(
        presence().await,
        Presence::Offline {
            last_seen_ms: Some(at)
        }
    );
    registry
        .register(living.clone(), of(&living))
        .await
        .unwrap();
    assert_eq!(
        registry.nodes_of(vec![user.clone()]).await.unwrap(),
        [living]
    );
}

#[tokio::test]
async fn another_registry_sees_a_node_that_it_did_not_foresee() {
    let Some(seen) = seen().await else { return };
    let one = seen.ports.registry();
    let other = connect(&seen.redis.url()).await.registry();
    let user = user("u");
    // More nodes than are asked for beforehand.
    let mut expected = Vec::new();
    for number in 0..12 {
        let node = NodeId::new(format!("n{number:02}"));
        let session = SessionId {
            node: node.clone(),
            number: 1,
        };
        one.register(node.clone(), vec![(user.clone(), session)])
            .await
            .unwrap();
        expected.push(node);
        assert_eq!(other.nodes_of(vec![user.clone()]).await.unwrap(), expected);
    }
    one.remove_node(NodeId::new("n03")).await.unwrap();
    expected.remove(3);
    assert_eq!(other.nodes_of(vec![user.clone()]).await.unwrap(), expected);
}

#[tokio::test]
async fn a_session_of_an_earlier_lease_was_last_seen_when_that_ended() {
    let Some(mut seen) = seen().await else { return };
    let (registry, node, user) = (seen.ports.registry(), NodeId::new("n"), user("u"));
    let session = SessionId {
        node: node.clone(),
        number: 1,
    };
    registry
        .register(node.clone(), vec![(user.clone(), session)])
        .await
        .unwrap();
    let key = seen.of_kind('n').await;
    let ends = redis::cmd("HGET").arg(&key).arg("u").clone();
    let ends: u64 = ends.query_async(&mut seen.raw).await.unwrap();
    // Nobody looks until there is another lease.
    until("the lease ends", async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_millis() > u128::from(ends)
    })
    .await;
    assert_eq!(registry.renew(node).await.unwrap(), Lease::Forgotten);
    let offline = Presence::Offline {
        last_seen_ms: Some(ends),
    };
    for _ in 0..2 {
        assert_eq!(
            registry.presence(vec![user.clone()]).await.unwrap(),
            [offline]
        );
    }
}

/// A server that evicts may drop one key and not the other.
#[tokio::test]
async fn a_log_keeps_its_incarnation_without_its_shards() {
    let Some(mut seen) = seen().await else { return };
    let (cache, log) = (seen.ports.cache(), log("log"));
    let first = send(&*cache, log, "1").await.unwrap();
    let marker = seen.of_kind('i').await;
    seen.ask::<()>("DEL", &marker).await;
    let second = send(&*cache, log, "2").await.unwrap();
    assert_eq!(second.incarnation, first.incarnation);
    let settled = cache.settle(vec![first, second]).await.unwrap();
    assert_eq!(settled, [Settled::Cleared; 2]);
}
