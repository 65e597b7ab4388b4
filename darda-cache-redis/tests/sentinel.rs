//! The master that Sentinel names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use darda_backends::{Sentinel, or_skip};
use darda_core::ports::{Appended, Cache, Settled};

use support::{append, connect, log, persist, send};

#[tokio::test]
async fn a_promoted_master_is_found_and_begins_an_incarnation() {
    let Some(mut sentinel) = or_skip(Sentinel::start().await) else {
        return;
    };
    // The first address leads nowhere.
    let url = format!("redis+sentinel://127.0.0.1:1,{}", sentinel.address());
    let ports = connect(&url).await;
    let (cache, name) = (ports.cache(), log("log"));
    let before = persist(|| cache.append(append(name, "1", true))).await;
    let Appended::New(before) = before else {
        panic!("not new: {before:?}");
    };
    sentinel.fail_over().await.unwrap();
    let after = persist(|| send(&*cache, name, "2")).await;
    assert_eq!(after.prev, None);
    assert_ne!(after.incarnation, before.incarnation);
    assert_eq!(cache.settle(vec![before]).await.unwrap(), [Settled::Lost]);
}
