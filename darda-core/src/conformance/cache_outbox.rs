//! What leaves a cache's outbox, and what stays too long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fixture::{Log, appended, positions, rename, until};
use crate::error::Result;
use crate::model::{ConversationId, Entry, Epoch, Position};
use crate::ports::{Appended, Cache, Range, Settled};

const AGE: Duration = Duration::from_millis(200);

pub(super) async fn settling_clears_once(cache: Arc<dyn Cache>) -> Result<()> {
    let entry = Log::new().send(&*cache, "1").await?;
    assert_eq!(cache.settle(vec![entry.clone()]).await?, [Settled::Cleared]);
    assert_eq!(cache.settle(vec![entry]).await?, [Settled::Known]);
    Ok(())
}

pub(super) async fn settling_answers_in_order(cache: Arc<dyn Cache>) -> Result<()> {
    let (a, b) = (Log::new(), Log::new());
    let (in_a, in_b) = (
        a.send_many(&*cache, 2).await?,
        b.send_many(&*cache, 2).await?,
    );
    cache.settle(vec![in_b[0].clone(), in_a[1].clone()]).await?;
    let all = vec![
        in_a[0].clone(),
        in_b[0].clone(),
        in_b[1].clone(),
        in_a[1].clone(),
    ];
    let settled = cache.settle(all).await?;
    use Settled::{Cleared, Known};
    assert_eq!(settled, [Cleared, Known, Cleared, Known]);
    Ok(())
}

pub(super) async fn settling_at_another_position_clears_nothing(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let entry = Log::new().send(&*cache, "1").await?;
    let moved = Entry {
        position: Position(entry.position.0 + 1),
        ..(*entry).clone()
    };
    assert_eq!(cache.settle(vec![Arc::new(moved)]).await?, [Settled::Known]);
    assert_eq!(cache.settle(vec![entry]).await?, [Settled::Cleared]);
    Ok(())
}

pub(super) async fn settling_an_unknown_entry_of_another_incarnation_says_lost(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let held = log.send(&*cache, "1").await?;
    let lost = |position: u64, client: &str| {
        let entry = log.entry(position, client);
        Arc::new(Entry {
            incarnation: held.incarnation.wrapping_add(1),
            ..(*entry).clone()
        })
    };
    let unknown_id = lost(held.position.0 + 5, "unknown");
    let same_position = lost(held.position.0, "unknown");
    let other_position = lost(held.position.0 + 5, "1");
    let settled = cache
        .settle(vec![unknown_id, same_position, other_position])
        .await?;
    assert_eq!(settled, [Settled::Lost; 3]);
    assert_eq!(cache.settle(vec![held]).await?, [Settled::Cleared]);
    Ok(())
}

/// The same entry as if another incarnation had made it.
fn of_another_incarnation(entry: &Entry) -> Arc<Entry> {
    let incarnation = entry.incarnation.wrapping_add(1);
    Arc::new(Entry {
        incarnation,
        ..entry.clone()
    })
}

pub(super) async fn an_entry_of_another_incarnation_that_was_cleared_is_not_lost(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let entry = Log::new().send(&*cache, "1").await?;
    let other = of_another_incarnation(&entry);
    assert_eq!(cache.settle(vec![entry]).await?, [Settled::Cleared]);
    assert_eq!(cache.settle(vec![other]).await?, [Settled::Known]);
    Ok(())
}

pub(super) async fn an_entry_of_another_incarnation_in_the_outbox_is_lost(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let entry = log.send(&*cache, "1").await?;
    let other = of_another_incarnation(&entry);
    assert_eq!(cache.settle(vec![other]).await?, [Settled::Lost]);
    assert_eq!(cache.find(log.id, entry.id).await?, None);
    let again = appended(&*cache, log.append("1", "1", false)).await?;
    assert!(again.position > entry.position);
    Ok(())
}

pub(super) async fn changes_gives_the_membership_changes_of_the_outbox(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "1").await?;
    let first = appended(&*cache, log.append("a", rename(Epoch(0)), false)).await?;
    let second = log.checked("b", rename(first.epoch), first.epoch, false);
    let second = appended(&*cache, second).await?;
    assert_eq!(
        cache.changes(log.id).await?,
        [first.clone(), second.clone()]
    );
    cache.settle(vec![first]).await?;
    assert_eq!(cache.changes(log.id).await?, [second]);
    assert!(cache.changes(Log::new().id).await?.is_empty());
    Ok(())
}

pub(super) async fn withdrawing_takes_an_entry_out_of_everything(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 3).await?;
    cache.withdraw(log.id, sent[1].id, sent[1].position).await?;
    cache.withdraw(log.id, sent[1].id, sent[1].position).await?;
    let recent = cache.recent(log.id, Range::OLDEST, 10).await?;
    assert_eq!(recent.entries, [sent[0].clone(), sent[2].clone()]);
    assert_eq!(cache.find(log.id, sent[1].id).await?, None);
    assert_eq!(cache.settle(vec![sent[1].clone()]).await?, [Settled::Known]);
    let change = appended(&*cache, log.append("change", rename(Epoch(0)), false)).await?;
    cache.withdraw(log.id, change.id, change.position).await?;
    assert!(cache.changes(log.id).await?.is_empty());
    Ok(())
}

pub(super) async fn withdrawing_at_another_position_does_nothing(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 2).await?;
    cache.withdraw(log.id, sent[0].id, sent[1].position).await?;
    cache.withdraw(log.id, sent[1].id, Position(1)).await?;
    cache
        .withdraw(Log::new().id, sent[1].id, sent[1].position)
        .await?;
    assert_eq!(cache.recent(log.id, Range::OLDEST, 10).await?.entries, sent);
    assert_eq!(cache.settle(sent).await?, [Settled::Cleared; 2]);
    Ok(())
}

pub(super) async fn a_withdrawn_id_can_be_appended_again(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let first = log.send(&*cache, "1").await?;
    let second = log.send(&*cache, "2").await?;
    cache.withdraw(log.id, first.id, first.position).await?;
    let again = log.send(&*cache, "1").await?;
    assert!(again.position > second.position);
    assert_eq!(again.prev, Some(second.position));
    let repeat = cache.append(log.append("1", "1", false)).await?;
    let right = matches!(repeat, Appended::Repeat { position, .. } if position == again.position);
    assert!(right, "{repeat:?}");
    Ok(())
}

/// Claims, and leaves out what is not of this log.
async fn claim(cache: &dyn Cache, log: ConversationId, age: Duration) -> Result<Vec<Arc<Entry>>> {
    let mut claimed = cache.claim_overdue(age, 1000).await?;
    claimed.retain(|entry| entry.conversation == log);
    Ok(claimed)
}

/// Claims until something comes, and says after how long.
async fn claim_next(
    cache: &Arc<dyn Cache>,
    log: ConversationId,
    age: Duration,
) -> Result<Duration> {
    let since = Instant::now();
    until("an overdue entry", async || {
        Ok(!claim(&**cache, log, age).await?.is_empty())
    })
    .await?;
    Ok(since.elapsed())
}

pub(super) async fn an_entry_is_overdue_after_its_age(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let before = Instant::now();
    log.send(&*cache, "1").await?;
    assert!(
        claim(&*cache, log.id, Duration::from_secs(60))
            .await?
            .is_empty()
    );
    claim_next(&cache, log.id, AGE).await?;
    assert!(before.elapsed() >= AGE, "too early: {:?}", before.elapsed());
    Ok(())
}

pub(super) async fn overdue_entries_come_oldest_first_up_to_the_limit(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let sent = log.send_many(&*cache, 5).await?;
    let mut claimed = Vec::new();
    until("five overdue entries", async || {
        let more = cache.claim_overdue(AGE, 2).await?;
        assert!(more.len() <= 2, "{} are over the limit", more.len());
        claimed.extend(more);
        Ok(claimed.len() >= 5)
    })
    .await?;
    assert_eq!(positions(&claimed), positions(&sent));
    Ok(())
}

pub(super) async fn a_claimed_entry_waits_twice_as_long_each_time(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "1").await?;
    claim_next(&cache, log.id, AGE).await?;
    // Some room for the backend's clock to be coarse.
    for least in [AGE, AGE * 2] {
        let waited = claim_next(&cache, log.id, AGE).await?;
        assert!(
            waited >= least * 9 / 10,
            "{waited:?} is shorter than {least:?}"
        );
        assert!(
            waited < least * 3,
            "{waited:?} is much longer than {least:?}"
        );
    }
    Ok(())
}

pub(super) async fn a_settled_entry_is_never_overdue(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let settled = log.send(&*cache, "1").await?;
    cache.settle(vec![settled]).await?;
    let waiting = log.send(&*cache, "2").await?;
    let mut claimed = Vec::new();
    until("an overdue entry", async || {
        claimed.extend(claim(&*cache, log.id, AGE).await?);
        Ok(!claimed.is_empty())
    })
    .await?;
    assert_eq!(claimed, [waiting]);
    Ok(())
}

pub(super) async fn the_outbox_is_counted(cache: Arc<dyn Cache>) -> Result<()> {
    let before = cache.outbox_len().await?;
    let sent = Log::new().send_many(&*cache, 20).await?;
    assert!(cache.outbox_len().await? >= before + 10, "roughly 20 more");
    cache.settle(sent).await?;
    assert!(
        cache.outbox_len().await? <= before + 10,
        "roughly as before"
    );
    Ok(())
}
