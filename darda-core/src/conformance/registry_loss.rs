//! A registry that has lost its memory.

use super::Disturbed;
use super::fixture::{node, persist, user};
use super::registry::session;
use crate::error::Result;
use crate::ports::{Lease, Presence, SessionRegistry};

pub(super) async fn after_a_loss_renewing_says_so_once(
    registry: Disturbed<dyn SessionRegistry>,
) -> Result<()> {
    let node = node("n");
    registry.port.renew(node.clone()).await?;
    assert_eq!(registry.port.renew(node.clone()).await?, Lease::Held);
    (registry.disturb)().await;
    assert_eq!(
        persist(|| registry.port.renew(node.clone())).await?,
        Lease::Forgotten
    );
    assert_eq!(registry.port.renew(node).await?, Lease::Held);
    Ok(())
}

pub(super) async fn a_registration_does_not_hide_a_loss(
    registry: Disturbed<dyn SessionRegistry>,
) -> Result<()> {
    let (a, b, node) = (user("a"), user("b"), node("n"));
    registry.port.renew(node.clone()).await?;
    registry
        .port
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    (registry.disturb)().await;
    let register = || {
        registry
            .port
            .register(node.clone(), vec![session(&b, &node, 2)])
    };
    persist(register).await?;
    assert_eq!(registry.port.renew(node).await?, Lease::Forgotten);
    Ok(())
}

pub(super) async fn after_a_loss_sessions_can_be_registered_again(
    registry: Disturbed<dyn SessionRegistry>,
) -> Result<()> {
    let (a, node) = (user("a"), node("n"));
    registry
        .port
        .register(node.clone(), vec![session(&a, &node, 1)])
        .await?;
    (registry.disturb)().await;
    let register = || {
        registry
            .port
            .register(node.clone(), vec![session(&a, &node, 1)])
    };
    persist(register).await?;
    assert_eq!(registry.port.nodes_of(vec![a.clone()]).await?, [node]);
    assert_eq!(registry.port.presence(vec![a]).await?, [Presence::Online]);
    Ok(())
}
