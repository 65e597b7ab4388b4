//! A store's block lists.

use std::sync::Arc;

use futures::future::try_join_all;

use super::fixture::user;
use crate::error::{ErrorKind, Result};
use crate::model::limits::MAX_BLOCKS_PER_USER;
use crate::ports::Store;

pub(super) async fn a_block_counts_in_both_directions(store: Arc<dyn Store>) -> Result<()> {
    let (a, b, c) = (user("a"), user("b"), user("c"));
    store.block(a.clone(), b.clone()).await?;
    assert!(store.blocked_between(a.clone(), b.clone()).await?);
    assert!(store.blocked_between(b.clone(), a.clone()).await?);
    assert!(!store.blocked_between(a.clone(), c).await?);
    assert_eq!(store.blocks(a).await?, std::slice::from_ref(&b));
    assert!(store.blocks(b).await?.is_empty());
    Ok(())
}

pub(super) async fn blocking_again_changes_nothing(store: Arc<dyn Store>) -> Result<()> {
    let (a, b) = (user("a"), user("b"));
    store.block(a.clone(), b.clone()).await?;
    store.block(a.clone(), b.clone()).await?;
    assert_eq!(store.blocks(a.clone()).await?, std::slice::from_ref(&b));
    store.unblock(a.clone(), b.clone()).await?;
    assert!(!store.blocked_between(a, b).await?);
    Ok(())
}

pub(super) async fn unblocking_ends_a_block(store: Arc<dyn Store>) -> Result<()> {
    let (a, b) = (user("a"), user("b"));
    store.block(a.clone(), b.clone()).await?;
    store.block(b.clone(), a.clone()).await?;
    store.unblock(a.clone(), b.clone()).await?;
    store.unblock(a.clone(), b.clone()).await?;
    assert!(
        store.blocked_between(a.clone(), b.clone()).await?,
        "the other block stands"
    );
    store.unblock(b.clone(), a.clone()).await?;
    assert!(!store.blocked_between(a, b).await?);
    Ok(())
}

pub(super) async fn blocks_come_in_the_order_of_ids(store: Arc<dyn Store>) -> Result<()> {
    let a = user("a");
    let mut others: Vec<_> = ["z", "m", "b"].into_iter().map(user).collect();
    for other in &others {
        store.block(a.clone(), other.clone()).await?;
    }
    others.sort();
    assert_eq!(store.blocks(a).await?, others);
    Ok(())
}

pub(super) async fn blocks_are_bounded(store: Arc<dyn Store>) -> Result<()> {
    let a = user("a");
    let others: Vec<_> = (0..MAX_BLOCKS_PER_USER).map(|_| user("other")).collect();
    for some in others.chunks(100) {
        try_join_all(
            some.iter()
                .map(|other| store.block(a.clone(), other.clone())),
        )
        .await?;
    }
    let refused = store.block(a.clone(), user("other")).await;
    assert_eq!(
        refused.map_err(|error| error.kind()),
        Err(ErrorKind::LimitReached)
    );
    // One that is blocked already does not add to them.
    store.block(a.clone(), others[0].clone()).await?;
    store.unblock(a.clone(), others[0].clone()).await?;
    store.block(a.clone(), user("other")).await?;
    assert_eq!(store.blocks(a).await?.len(), MAX_BLOCKS_PER_USER);
    Ok(())
}
