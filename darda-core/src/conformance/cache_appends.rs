//! A cache's positions, its `prev`, and its memory of repeats.

use std::sync::Arc;

use futures::future::try_join_all;

use super::fixture::{Log, appended, now_us, positions};
use crate::error::Result;
use crate::model::{Body, Epoch, Message, Position};
use crate::ports::{Appended, Cache, Range};

pub(super) async fn positions_increase(cache: Arc<dyn Cache>) -> Result<()> {
    let sent = positions(&Log::new().send_many(&*cache, 50).await?);
    assert!(sent.is_sorted_by(|a, b| a < b), "{sent:?}");
    Ok(())
}

pub(super) async fn a_position_is_the_time_in_microseconds(cache: Arc<dyn Cache>) -> Result<()> {
    let entry = Log::new().send(&*cache, "1").await?;
    // The cache's host may have a clock of its own.
    let apart = entry.position.0.abs_diff(now_us());
    assert!(apart < 60_000_000, "{apart} microseconds apart");
    Ok(())
}

pub(super) async fn the_first_append_has_no_prev(cache: Arc<dyn Cache>) -> Result<()> {
    assert_eq!(Log::new().send(&*cache, "1").await?.prev, None);
    Ok(())
}

pub(super) async fn prev_is_the_position_appended_before(cache: Arc<dyn Cache>) -> Result<()> {
    let (log, other) = (Log::new(), Log::new());
    let first = log.send(&*cache, "1").await?;
    other.send(&*cache, "1").await?;
    let second = log.send(&*cache, "2").await?;
    cache.settle(vec![first.clone(), second.clone()]).await?;
    let third = log.send(&*cache, "3").await?;
    assert_eq!(second.prev, Some(first.position));
    assert_eq!(third.prev, Some(second.position));
    Ok(())
}

pub(super) async fn an_append_keeps_all_that_it_was_given(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let message = Message::text("text with ünicode \u{1f600} and \"quotes\"")
        .with_mentions([log.sender.clone()])
        .with_metadata("{\"a\":1}");
    let append = log.checked("client", message, Epoch(7), true);
    let entry = appended(&*cache, append.clone()).await?;
    assert_eq!(entry.conversation, append.conversation);
    assert_eq!(entry.id, append.id);
    assert_eq!(entry.sender, append.sender);
    assert_eq!(entry.client_id, append.client_id);
    assert_eq!(entry.body, append.body);
    assert_eq!(entry.epoch, Epoch(7));
    let recent = cache.recent(log.id, Range::NEWEST, 10).await?;
    assert_eq!(recent.entries, std::slice::from_ref(&entry));
    let opaque = Body::Opaque((0..=255_u8).collect());
    let binary = appended(&*cache, log.checked("opaque", opaque, Epoch(7), false)).await?;
    assert_eq!(cache.find(log.id, binary.id).await?, Some(binary.clone()));
    assert_eq!(binary.incarnation, entry.incarnation);
    Ok(())
}

pub(super) async fn logs_do_not_share_positions(cache: Arc<dyn Cache>) -> Result<()> {
    let (log, other) = (Log::new(), Log::new());
    log.send_many(&*cache, 3).await?;
    assert_eq!(other.send(&*cache, "1").await?.prev, None);
    assert_eq!(
        cache
            .recent(other.id, Range::OLDEST, 10)
            .await?
            .entries
            .len(),
        1
    );
    Ok(())
}

pub(super) async fn a_resend_returns_the_first_position(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let first = log.send(&*cache, "1").await?;
    log.send(&*cache, "2").await?;
    match cache.append(log.append("1", "another text", true)).await? {
        Appended::Repeat { position, pending } => {
            assert_eq!(position, first.position);
            assert_eq!(pending, Some(first));
        }
        other => assert!(matches!(other, Appended::Repeat { .. }), "{other:?}"),
    }
    assert_eq!(
        cache.recent(log.id, Range::OLDEST, 10).await?.entries.len(),
        2
    );
    Ok(())
}

pub(super) async fn a_repeat_of_a_settled_entry_is_not_pending(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let first = log.send(&*cache, "1").await?;
    cache.settle(vec![first.clone()]).await?;
    let repeat = cache.append(log.append("1", "1", false)).await?;
    let right = matches!(&repeat, Appended::Repeat { position, pending: None }
        if *position == first.position);
    assert!(right, "{repeat:?}");
    Ok(())
}

pub(super) async fn a_repeat_is_answered_before_its_epoch_is_checked(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "1").await?;
    cache.raise_epoch(log.id, Epoch(now_us())).await?;
    let repeat = cache.append(log.append("1", "1", false)).await?;
    assert!(matches!(repeat, Appended::Repeat { .. }), "{repeat:?}");
    Ok(())
}

pub(super) async fn concurrent_appends_of_one_id_take_effect_once(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let appends = (0..16).map(|_| cache.append(log.append("1", "1", true)));
    let mut new = 0;
    let mut positions: Vec<Position> = Vec::new();
    for appended in try_join_all(appends).await? {
        match appended {
            Appended::New(entry) => {
                new += 1;
                positions.push(entry.position);
            }
            Appended::Repeat { position, .. } => positions.push(position),
            Appended::StaleEpoch => assert_eq!(new, 0, "a fresh copy is not stale"),
        }
    }
    positions.dedup();
    assert_eq!((new, positions.len()), (1, 1));
    Ok(())
}

pub(super) async fn concurrent_appends_form_one_chain(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let sends = (0..64).map(|number| {
        let (log, cache) = (log.clone(), cache.clone());
        async move { log.send(&*cache, &format!("{number}")).await }
    });
    let mut entries = try_join_all(sends).await?;
    entries.sort_by_key(|entry| entry.position);
    assert_eq!(entries[0].prev, None);
    for pair in entries.windows(2) {
        assert_eq!(pair[1].prev, Some(pair[0].position));
    }
    assert_eq!(
        cache.recent(log.id, Range::OLDEST, 100).await?.entries,
        entries
    );
    Ok(())
}

pub(super) async fn the_last_10000_ids_are_remembered(cache: Arc<dyn Cache>) -> Result<()> {
    const CHUNK: usize = 500;
    let log = Log::new();
    let first = log.send(&*cache, "first").await?;
    cache.settle(vec![first.clone()]).await?;
    let mut sent = 1;
    while sent < 10_000 {
        let chunk = CHUNK.min(10_000 - sent);
        let names: Vec<_> = (sent..sent + chunk)
            .map(|number| format!("{number}"))
            .collect();
        let entries = try_join_all(names.iter().map(|name| log.send(&*cache, name))).await?;
        cache.settle(entries).await?;
        sent += chunk;
    }
    let repeat = cache.append(log.append("first", "1", true)).await?;
    let right = matches!(&repeat, Appended::Repeat { position, .. } if *position == first.position);
    assert!(right, "{repeat:?}");
    Ok(())
}
