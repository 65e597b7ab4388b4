//! What a cache's window and outbox give.

use std::sync::Arc;

use futures::future::try_join_all;

use super::fixture::{Log, appended, positions};
use crate::error::Result;
use crate::model::limits::MAX_OPAQUE_BYTES;
use crate::model::{Body, EntryId, Position};
use crate::ports::{Cache, Range};

pub(super) async fn recent_of_an_unknown_log_is_empty(cache: Arc<dyn Cache>) -> Result<()> {
    let recent = cache.recent(Log::new().id, Range::NEWEST, 10).await?;
    assert!(recent.entries.is_empty());
    assert_eq!(recent.head, None);
    Ok(())
}

pub(super) async fn recent_after_gives_the_next_entries(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 10).await?;
    let after =
        |index: usize, limit| cache.recent(log.id, Range::After(sent[index].position), limit);
    assert_eq!(after(2, 3).await?.entries, sent[3..6]);
    assert_eq!(after(7, 10).await?.entries, sent[8..]);
    assert!(after(9, 10).await?.entries.is_empty());
    let between = Range::After(Position(sent[2].position.0 - 1));
    assert_eq!(cache.recent(log.id, between, 1).await?.entries, sent[2..3]);
    assert_eq!(
        cache.recent(log.id, Range::OLDEST, 4).await?.entries,
        sent[..4]
    );
    assert!(
        cache
            .recent(log.id, Range::OLDEST, 0)
            .await?
            .entries
            .is_empty()
    );
    Ok(())
}

pub(super) async fn recent_before_gives_the_newest_entries(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 10).await?;
    let before =
        |index: usize, limit| cache.recent(log.id, Range::Before(sent[index].position), limit);
    assert_eq!(before(7, 3).await?.entries, sent[4..7]);
    assert_eq!(before(2, 10).await?.entries, sent[..2]);
    assert!(before(0, 10).await?.entries.is_empty());
    assert_eq!(
        cache.recent(log.id, Range::NEWEST, 4).await?.entries,
        sent[6..]
    );
    Ok(())
}

pub(super) async fn recent_gives_what_only_the_outbox_holds(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 600).await?;
    // Those between are settled and may have left the window; the oldest must not.
    cache.settle(sent[10..500].to_vec()).await?;
    let all = positions(&cache.recent(log.id, Range::OLDEST, 1000).await?.entries);
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    for entry in sent[..10].iter().chain(&sent[400..]) {
        assert!(
            all.contains(&entry.position.0),
            "{} is missing",
            entry.position
        );
    }
    assert_eq!(
        cache.recent(log.id, Range::OLDEST, 5).await?.entries,
        sent[..5]
    );
    let before = Range::Before(sent[5].position);
    assert_eq!(cache.recent(log.id, before, 3).await?.entries, sent[2..5]);
    assert_eq!(
        cache.recent(log.id, Range::NEWEST, 150).await?.entries,
        sent[450..]
    );
    Ok(())
}

pub(super) async fn the_window_keeps_200_entries_after_they_are_settled(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 300).await?;
    cache.settle(sent.clone()).await?;
    let recent = cache.recent(log.id, Range::NEWEST, 200).await?;
    assert_eq!(recent.entries, sent[100..]);
    Ok(())
}

pub(super) async fn the_window_keeps_200_of_the_largest_entries(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "first").await?;
    let appends = (0..210).map(|number| {
        let body = Body::Opaque(vec![b'x'; MAX_OPAQUE_BYTES].into());
        appended(&*cache, log.append(&format!("{number}"), body, false))
    });
    let mut sent = try_join_all(appends).await?;
    sent.sort_by_key(|entry| entry.position);
    cache.settle(sent.clone()).await?;
    let recent = cache.recent(log.id, Range::NEWEST, 200).await?;
    assert_eq!(positions(&recent.entries), positions(&sent[10..]));
    Ok(())
}

pub(super) async fn recent_tells_the_head(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 3).await?;
    let head = cache.recent(log.id, Range::OLDEST, 1).await?.head;
    assert_eq!(head, Some(sent[2].position));
    Ok(())
}

pub(super) async fn recent_tells_the_last_position_given(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    assert_eq!(cache.recent(log.id, Range::OLDEST, 1).await?.last, None);
    let sent = log.send_many(&*cache, 3).await?;
    cache.withdraw(log.id, sent[2].id, sent[2].position).await?;
    let recent = cache.recent(log.id, Range::OLDEST, 0).await?;
    assert_eq!(recent.last, Some(sent[2].position));
    assert_eq!(recent.head, Some(sent[1].position));
    Ok(())
}

pub(super) async fn heads_come_in_the_order_asked(cache: Arc<dyn Cache>) -> Result<()> {
    let (a, unknown, b) = (Log::new(), Log::new(), Log::new());
    let in_a = a.send(&*cache, "1").await?;
    let in_b = b.send_many(&*cache, 2).await?;
    let heads = cache.heads(vec![b.id, unknown.id, a.id]).await?;
    let heads: Vec<_> = heads
        .iter()
        .map(|head| head.as_ref().map(|head| head.position))
        .collect();
    assert_eq!(heads, [Some(in_b[1].position), None, Some(in_a.position)]);
    Ok(())
}

pub(super) async fn a_head_names_the_newest_message(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "1").await?;
    let message = log.send(&*cache, "2").await?;
    let reaction = Body::React {
        target: message.id,
        reaction: "x".into(),
    };
    let reaction = appended(&*cache, log.append("3", reaction, false)).await?;
    let heads = cache.heads(vec![log.id]).await?;
    let head = heads.into_iter().flatten().next();
    let head = head.map(|head| (head.position, head.last_message));
    assert_eq!(head, Some((reaction.position, Some(message))));
    Ok(())
}

pub(super) async fn find_gives_an_entry_by_its_id(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 3).await?;
    assert_eq!(
        cache.find(log.id, sent[1].id).await?.as_ref(),
        Some(&sent[1])
    );
    cache.settle(sent.clone()).await?;
    assert_eq!(
        cache.find(log.id, sent[1].id).await?.as_ref(),
        Some(&sent[1])
    );
    assert_eq!(
        cache.find(log.id, EntryId::from_bytes([7; 16])).await?,
        None
    );
    assert_eq!(cache.find(Log::new().id, sent[1].id).await?, None);
    Ok(())
}

pub(super) async fn find_gives_what_only_the_outbox_holds(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let first = log.send(&*cache, "first").await?;
    let rest = log.send_many(&*cache, 600).await?;
    cache.settle(rest).await?;
    assert_eq!(cache.find(log.id, first.id).await?, Some(first));
    Ok(())
}
