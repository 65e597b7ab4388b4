//! Under which epochs a cache appends.

use std::sync::Arc;

use super::fixture::{Log, appended, now_us, refused, rename};
use crate::error::Result;
use crate::model::{Epoch, Position};
use crate::ports::{Admission, Cache, Range};

pub(super) async fn an_unknown_log_wants_a_fresh_copy(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    refused(&*cache, log.append("1", "1", false)).await?;
    refused(&*cache, log.checked("1", "1", Epoch(now_us()), false)).await
}

pub(super) async fn a_fresh_copy_teaches_the_epoch(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    appended(&*cache, log.checked("1", "1", Epoch(5), true)).await?;
    let entry = appended(&*cache, log.checked("2", "2", Epoch(5), false)).await?;
    assert_eq!(entry.epoch, Epoch(5));
    Ok(())
}

pub(super) async fn a_copy_older_than_the_log_is_refused(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    appended(&*cache, log.checked("1", "1", Epoch(5), true)).await?;
    refused(&*cache, log.checked("2", "2", Epoch(4), false)).await?;
    refused(&*cache, log.checked("2", "2", Epoch(4), true)).await
}

pub(super) async fn a_refused_append_leaves_nothing(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let first = appended(&*cache, log.checked("1", "1", Epoch(5), true)).await?;
    let stale = log.checked("2", "2", Epoch(4), false);
    refused(&*cache, stale.clone()).await?;
    assert_eq!(cache.find(log.id, stale.id).await?, None);
    assert_eq!(
        cache.recent(log.id, Range::OLDEST, 10).await?.entries,
        std::slice::from_ref(&first)
    );
    let second = appended(&*cache, log.checked("2", "2", Epoch(5), false)).await?;
    assert_eq!(second.prev, Some(first.position));
    Ok(())
}

pub(super) async fn a_newer_copy_passes_and_raises_the_epoch(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    appended(&*cache, log.checked("1", "1", Epoch(5), true)).await?;
    let entry = appended(&*cache, log.checked("2", "2", Epoch(6), true)).await?;
    assert_eq!(entry.epoch, Epoch(6));
    refused(&*cache, log.checked("3", "3", Epoch(5), false)).await
}

pub(super) async fn a_membership_change_sets_the_epoch_to_its_position(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "1").await?;
    let change = appended(&*cache, log.append("change", rename(Epoch(0)), false)).await?;
    assert_eq!(change.epoch, Epoch(change.position.0));
    refused(&*cache, log.append("2", "2", false)).await?;
    let entry = appended(&*cache, log.checked("2", "2", change.epoch, false)).await?;
    assert_eq!(entry.epoch, change.epoch);
    Ok(())
}

pub(super) async fn a_raised_epoch_refuses_older_copies(cache: Arc<dyn Cache>) -> Result<()> {
    let (log, unknown) = (Log::new(), Log::new());
    log.send(&*cache, "1").await?;
    cache.raise_epoch(log.id, Epoch(9)).await?;
    refused(&*cache, log.append("2", "2", false)).await?;
    appended(&*cache, log.checked("2", "2", Epoch(9), false)).await?;
    cache.raise_epoch(unknown.id, Epoch(9)).await?;
    refused(&*cache, unknown.checked("1", "1", Epoch(8), true)).await
}

pub(super) async fn a_lower_raise_changes_nothing(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    appended(&*cache, log.checked("1", "1", Epoch(9), true)).await?;
    cache.raise_epoch(log.id, Epoch(3)).await?;
    assert_eq!(cache.epochs(vec![log.id]).await?, [Some(Epoch(9))]);
    refused(&*cache, log.checked("2", "2", Epoch(8), true)).await
}

pub(super) async fn epochs_come_in_the_order_asked(cache: Arc<dyn Cache>) -> Result<()> {
    let (a, unknown, b) = (Log::new(), Log::new(), Log::new());
    appended(&*cache, a.checked("1", "1", Epoch(3), true)).await?;
    appended(&*cache, b.checked("1", "1", Epoch(4), true)).await?;
    let epochs = cache.epochs(vec![b.id, unknown.id, a.id]).await?;
    assert_eq!(epochs, [Some(Epoch(4)), None, Some(Epoch(3))]);
    Ok(())
}

pub(super) async fn recent_tells_the_epoch(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    assert_eq!(cache.recent(log.id, Range::NEWEST, 1).await?.epoch, None);
    appended(&*cache, log.checked("1", "1", Epoch(3), true)).await?;
    cache.raise_epoch(log.id, Epoch(8)).await?;
    assert_eq!(
        cache.recent(log.id, Range::NEWEST, 1).await?.epoch,
        Some(Epoch(8))
    );
    Ok(())
}

pub(super) async fn a_relocated_append_passes_and_keeps_its_epoch(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let relocated =
        |client: &str| log.admitted(client, client, Admission::Relocated { epoch: Epoch(2) });
    // A log that knows nothing, then one that knows a newer epoch.
    assert_eq!(appended(&*cache, relocated("1")).await?.epoch, Epoch(2));
    appended(&*cache, log.checked("2", "2", Epoch(9), true)).await?;
    assert_eq!(appended(&*cache, relocated("3")).await?.epoch, Epoch(2));
    assert_eq!(cache.epochs(vec![log.id]).await?, [Some(Epoch(9))]);
    Ok(())
}

pub(super) async fn withdrawing_the_change_that_set_the_epoch_forgets_it(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache, "1").await?;
    let change = appended(&*cache, log.append("change", rename(Epoch(0)), false)).await?;
    cache.withdraw(log.id, change.id, change.position).await?;
    assert_eq!(cache.epochs(vec![log.id]).await?, [None]);
    refused(&*cache, log.checked("2", "2", change.epoch, false)).await?;
    refused(&*cache, log.append("2", "2", false)).await?;
    appended(&*cache, log.append("2", "2", true)).await?;
    Ok(())
}

pub(super) async fn withdrawing_another_entry_keeps_the_epoch(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let message = log.send(&*cache, "1").await?;
    let older = appended(&*cache, log.append("older", rename(Epoch(0)), false)).await?;
    let newer = log.checked("newer", rename(older.epoch), older.epoch, false);
    let newer = appended(&*cache, newer).await?;
    cache.withdraw(log.id, message.id, message.position).await?;
    cache.withdraw(log.id, older.id, older.position).await?;
    cache
        .withdraw(log.id, newer.id, Position(newer.position.0 + 1))
        .await?;
    let later = appended(&*cache, log.checked("later", "text", newer.epoch, false)).await?;
    cache.withdraw(log.id, later.id, later.position).await?;
    assert_eq!(cache.epochs(vec![log.id]).await?, [Some(newer.epoch)]);
    Ok(())
}
