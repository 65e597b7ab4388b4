//! A cluster of which one server is away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::time::{Duration, Instant};

use darda_backends::{RedisCluster, or_skip};
use darda_core::model::{ConversationId, NodeId, SessionId};
use darda_core::ports::{Cache, SessionRegistry};
use darda_core::{ErrorKind, Result};
use futures::future::join_all;

use support::{append, connect, persist, user};

/// A log of each of some shards, which lie on all servers.
fn logs() -> Vec<ConversationId> {
    let log = |shard| {
        let mut bytes = [7; 16];
        bytes[0] = shard;
        ConversationId::from_bytes(bytes)
    };
    (0..24).map(log).collect()
}

async fn append_to_all(cache: &dyn Cache, client: &str) -> Vec<Result<()>> {
    let appends = logs()
        .into_iter()
        .map(|log| async move { cache.append(append(log, client, true)).await.map(drop) });
    join_all(appends).await
}

#[tokio::test]
async fn the_other_servers_answer_while_one_is_away() {
    let Some(mut cluster) = or_skip(RedisCluster::start().await) else {
        return;
    };
    let ports = connect(&format!("redis+cluster://{}", cluster.addresses())).await;
    let (cache, registry) = (ports.cache(), ports.registry());
    assert!(append_to_all(&*cache, "1").await.iter().all(Result::is_ok));

    cluster.nodes()[0].server().pause();
    let begun = Instant::now();
    let answers = append_to_all(&*cache, "2").await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    let refused: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert!(
        !refused.is_empty() && refused.len() < answers.len(),
        "{answers:?}"
    );
    assert!(
        refused
            .iter()
            .all(|error| error.kind() == ErrorKind::Unavailable)
    );
    // Not for the first moment only.
    for _ in 0..4 {
        let later = append_to_all(&*cache, "2").await;
        let mut both = later.iter().zip(&answers);
        let same = both.all(|(later, first)| later.is_ok() == first.is_ok());
        assert!(same, "{later:?}");
    }
    cluster.nodes()[0].server().resume();
    persist(|| async {
        append_to_all(&*cache, "2")
            .await
            .into_iter()
            .collect::<Result<()>>()
    })
    .await;

    cluster.nodes()[1].server().kill().await;
    assert!(append_to_all(&*cache, "3").await.iter().any(Result::is_err));
    cluster.nodes()[1].start_again().await.unwrap();
    persist(|| async {
        append_to_all(&*cache, "3")
            .await
            .into_iter()
            .collect::<Result<()>>()
    })
    .await;

    // Users and nodes lie on all servers too.
    let node = NodeId::new("n");
    let sessions: Vec<_> = (0..24)
        .map(|number| {
            let session = SessionId {
                node: node.clone(),
                number,
            };
            (user(&format!("u{number}")), session)
        })
        .collect();
    persist(|| registry.register(node.clone(), sessions.clone())).await;
    let users = sessions.into_iter().map(|(user, _)| user).collect();
    assert_eq!(registry.nodes_of(users).await.unwrap(), [node]);
}
