//! Who a registry says is there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fixture::{PATIENCE, node, now_us, until, user};
use crate::error::Result;
use crate::model::{NodeId, SessionId, UserId};
use crate::ports::{Lease, Presence, SessionRegistry};

pub(super) fn session(user: &UserId, node: &NodeId, number: u64) -> (UserId, SessionId) {
    (
        user.clone(),
        SessionId {
            node: node.clone(),
            number,
        },
    )
}

async fn presence(registry: &dyn SessionRegistry, user: &UserId) -> Result<Option<Presence>> {
    Ok(registry
        .presence(vec![user.clone()])
        .await?
        .into_iter()
        .next())
}

async fn nodes(registry: &dyn SessionRegistry, user: &UserId) -> Result<Vec<NodeId>> {
    registry.nodes_of(vec![user.clone()]).await
}

fn offline(presence: Option<Presence>) -> bool {
    matches!(presence, Some(Presence::Offline { .. }))
}

pub(super) async fn a_registered_session_counts_at_once(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    registry
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    assert_eq!(nodes(&*registry, &a).await?, [node]);
    assert_eq!(presence(&*registry, &a).await?, Some(Presence::Online));
    Ok(())
}

pub(super) async fn a_user_nobody_has_seen_is_offline(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let a = user("a");
    assert!(nodes(&*registry, &a).await?.is_empty());
    let never = Presence::Offline { last_seen_ms: None };
    assert_eq!(presence(&*registry, &a).await?, Some(never));
    assert!(registry.nodes_of(Vec::new()).await?.is_empty());
    assert!(registry.presence(Vec::new()).await?.is_empty());
    Ok(())
}

pub(super) async fn the_last_session_to_end_makes_a_user_offline(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, n1, n2) = (user("a"), node("n1"), node("n2"));
    let first = session(&a, &n1, 1);
    registry
        .register(n1.clone(), vec![first.clone(), session(&a, &n1, 2)])
        .await?;
    registry
        .register(n2.clone(), vec![session(&a, &n2, 1)])
        .await?;
    registry.unregister(vec![first]).await?;
    assert_eq!(nodes(&*registry, &a).await?, [n1.clone(), n2.clone()]);
    registry.unregister(vec![session(&a, &n1, 2)]).await?;
    assert_eq!(nodes(&*registry, &a).await?, std::slice::from_ref(&n2));
    assert_eq!(presence(&*registry, &a).await?, Some(Presence::Online));
    registry.unregister(vec![session(&a, &n2, 1)]).await?;
    assert!(nodes(&*registry, &a).await?.is_empty());
    let seen = match presence(&*registry, &a).await? {
        Some(Presence::Offline { last_seen_ms }) => last_seen_ms,
        _ => None,
    };
    let apart = seen.map(|seen| seen.abs_diff(now_us() / 1000));
    assert!(
        apart.is_some_and(|apart| apart < 60_000),
        "last seen {apart:?} ms from now"
    );
    Ok(())
}

pub(super) async fn a_session_registered_twice_counts_once(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    for _ in 0..2 {
        registry
            .register(node.clone(), vec![session(&a, &node, 1)])
            .await?;
    }
    registry.unregister(vec![session(&a, &node, 1)]).await?;
    assert!(nodes(&*registry, &a).await?.is_empty());
    assert!(offline(presence(&*registry, &a).await?));
    Ok(())
}

pub(super) async fn an_unregistered_session_can_be_unregistered_again(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    let both = vec![session(&a, &node, 1), session(&a, &node, 2)];
    registry.register(node.clone(), both).await?;
    for _ in 0..2 {
        registry.unregister(vec![session(&a, &node, 1)]).await?;
    }
    assert_eq!(presence(&*registry, &a).await?, Some(Presence::Online));
    Ok(())
}

pub(super) async fn nodes_come_once_in_the_order_of_their_ids(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, b, c) = (user("a"), user("b"), user("c"));
    let (n1, n2, n3) = (node("z"), node("m"), node("b"));
    registry
        .register(n1.clone(), vec![session(&a, &n1, 1), session(&b, &n1, 2)])
        .await?;
    registry
        .register(n2.clone(), vec![session(&b, &n2, 1), session(&b, &n2, 2)])
        .await?;
    registry
        .register(n3.clone(), vec![session(&a, &n3, 1), session(&c, &n3, 2)])
        .await?;
    let found = registry.nodes_of(vec![b.clone(), a, b]).await?;
    assert_eq!(found, [n3, n2, n1]);
    Ok(())
}

pub(super) async fn presence_comes_in_the_order_asked(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, b, c, node) = (user("a"), user("b"), user("c"), node("n"));
    registry
        .register(
            node.clone(),
            vec![session(&a, &node, 1), session(&c, &node, 2)],
        )
        .await?;
    let there = registry.presence(vec![c, b, a]).await?;
    let there: Vec<_> = there
        .iter()
        .map(|presence| *presence == Presence::Online)
        .collect();
    assert_eq!(there, [true, false, true]);
    Ok(())
}

pub(super) async fn removing_a_node_ends_its_sessions(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, b, n1, n2) = (user("a"), user("b"), node("n1"), node("n2"));
    registry
        .register(n1.clone(), vec![session(&a, &n1, 1), session(&b, &n1, 2)])
        .await?;
    registry
        .register(n2.clone(), vec![session(&b, &n2, 1)])
        .await?;
    registry.remove_node(n1.clone()).await?;
    registry.remove_node(n1).await?;
    assert!(nodes(&*registry, &a).await?.is_empty());
    assert!(offline(presence(&*registry, &a).await?));
    assert_eq!(nodes(&*registry, &b).await?, [n2]);
    Ok(())
}

pub(super) async fn a_renewed_lease_is_held(registry: Arc<dyn SessionRegistry>) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    registry.renew(node.clone()).await?;
    registry
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    assert_eq!(registry.renew(node.clone()).await?, Lease::Held);
    assert_eq!(registry.renew(node).await?, Lease::Held);
    assert_eq!(presence(&*registry, &a).await?, Some(Presence::Online));
    Ok(())
}

pub(super) async fn renewing_keeps_a_node(registry: Arc<dyn SessionRegistry>) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    registry.renew(node.clone()).await?;
    registry
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    let lease = registry.lease();
    let since = Instant::now();
    while since.elapsed() < lease * 2 {
        assert_eq!(registry.renew(node.clone()).await?, Lease::Held);
        assert_eq!(nodes(&*registry, &a).await?, std::slice::from_ref(&node));
        sleep(lease / 4).await;
    }
    Ok(())
}

pub(super) async fn registering_renews_the_lease(registry: Arc<dyn SessionRegistry>) -> Result<()> {
    let (a, b, node) = (user("a"), user("b"), node("n"));
    registry
        .register(node.clone(), vec![session(&a, &node, 0)])
        .await?;
    let lease = registry.lease();
    let since = Instant::now();
    let mut number = 0;
    while since.elapsed() < lease * 2 {
        number += 1;
        registry
            .register(node.clone(), vec![session(&b, &node, number)])
            .await?;
        assert_eq!(presence(&*registry, &a).await?, Some(Presence::Online));
        sleep(lease / 4).await;
    }
    Ok(())
}

/// Waits until a node's lease has run out, which it must within twice its length.
async fn expire(registry: &Arc<dyn SessionRegistry>, user: &UserId) -> Result<Duration> {
    let since = Instant::now();
    until("the lease runs out", async || {
        Ok(nodes(&**registry, user).await?.is_empty())
    })
    .await?;
    Ok(since.elapsed())
}

pub(super) async fn a_node_that_does_not_renew_is_in_no_answer(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    registry
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    let lease = registry.lease();
    let held_for = expire(&registry, &a).await?;
    // Some room for the backend's clock to be coarse, and for a busy machine.
    assert!(held_for >= lease * 9 / 10, "it ran out after {held_for:?}");
    assert!(
        held_for <= (lease * 2 + Duration::from_secs(1)).min(PATIENCE),
        "{held_for:?}"
    );
    assert!(offline(presence(&*registry, &a).await?));
    Ok(())
}

pub(super) async fn an_expired_lease_is_forgotten_once(
    registry: Arc<dyn SessionRegistry>,
) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    registry.renew(node.clone()).await?;
    registry
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    expire(&registry, &a).await?;
    assert_eq!(registry.renew(node.clone()).await?, Lease::Forgotten);
    assert!(
        nodes(&*registry, &a).await?.is_empty(),
        "a forgotten session is not registered"
    );
    assert_eq!(registry.renew(node.clone()).await?, Lease::Held);
    registry
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    assert_eq!(nodes(&*registry, &a).await?, [node]);
    Ok(())
}
