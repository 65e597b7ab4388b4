//! A cache that has lost its memory.

use super::Disturbed;
use super::fixture::{Log, appended, now_us, persist, refused};
use crate::error::Result;
use crate::model::Epoch;
use crate::ports::{Cache, Settled};

pub(super) async fn after_a_loss_the_first_append_has_no_prev(
    cache: Disturbed<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let before = log.send(&*cache.port, "1").await?;
    (cache.disturb)().await;
    let after = persist(|| log.send(&*cache.port, "2")).await?;
    assert_eq!(after.prev, None);
    assert_ne!(after.incarnation, before.incarnation);
    assert_eq!(
        log.send(&*cache.port, "3").await?.prev,
        Some(after.position)
    );
    Ok(())
}

pub(super) async fn after_a_loss_positions_begin_a_second_past_the_clock(
    cache: Disturbed<dyn Cache>,
) -> Result<()> {
    let (log, new) = (Log::new(), Log::new());
    let before = log.send(&*cache.port, "1").await?;
    (cache.disturb)().await;
    for log in [log, new] {
        let now = now_us();
        let after = persist(|| log.send(&*cache.port, "2")).await?;
        assert!(
            after.position.0 >= now + 1_000_000,
            "{} at {now}",
            after.position
        );
        assert!(after.position > before.position);
    }
    Ok(())
}

pub(super) async fn after_a_loss_a_log_wants_a_fresh_copy(
    cache: Disturbed<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    appended(&*cache.port, log.checked("1", "1", Epoch(5), true)).await?;
    (cache.disturb)().await;
    persist(|| refused(&*cache.port, log.checked("2", "2", Epoch(5), false))).await?;
    appended(&*cache.port, log.checked("2", "2", Epoch(5), true)).await?;
    appended(&*cache.port, log.checked("3", "3", Epoch(5), false)).await?;
    Ok(())
}

pub(super) async fn after_a_loss_epochs_are_unknown(cache: Disturbed<dyn Cache>) -> Result<()> {
    let log = Log::new();
    log.send(&*cache.port, "1").await?;
    (cache.disturb)().await;
    assert_eq!(persist(|| cache.port.epochs(vec![log.id])).await?, [None]);
    Ok(())
}

pub(super) async fn after_a_loss_what_was_in_the_outbox_is_lost(
    cache: Disturbed<dyn Cache>,
) -> Result<()> {
    let (log, quiet) = (Log::new(), Log::new());
    let sent = log.send_many(&*cache.port, 2).await?;
    let in_quiet = quiet.send(&*cache.port, "1").await?;
    (cache.disturb)().await;
    let settled = persist(|| cache.port.settle(vec![sent[0].clone(), in_quiet.clone()])).await?;
    assert_eq!(settled, [Settled::Lost; 2]);
    log.send(&*cache.port, "new").await?;
    assert_eq!(
        cache.port.settle(vec![sent[1].clone()]).await?,
        [Settled::Lost]
    );
    Ok(())
}

pub(super) async fn after_a_loss_what_waits_to_be_stored_is_known_to_be_lost(
    cache: Disturbed<dyn Cache>,
) -> Result<()> {
    let (log, quiet) = (Log::new(), Log::new());
    let before = log.send(&*cache.port, "1").await?;
    let in_quiet = quiet.send(&*cache.port, "1").await?;
    let all = vec![before.clone(), in_quiet.clone()];
    assert_eq!(cache.port.lost(all).await?, [false; 2]);
    (cache.disturb)().await;
    let after = persist(|| log.send(&*cache.port, "2")).await?;
    let all = vec![after.clone(), before.clone(), in_quiet];
    assert_eq!(cache.port.lost(all).await?, [false, true, true]);
    let again = log.send(&*cache.port, "1").await?;
    assert!(again.position > after.position);
    assert_eq!(cache.port.lost(vec![before]).await?, [true]);
    let waiting = cache.port.settle(vec![after, again]).await?;
    assert_eq!(waiting, [Settled::Cleared; 2]);
    Ok(())
}

pub(super) async fn after_a_loss_new_entries_settle_as_ever(
    cache: Disturbed<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    log.send(&*cache.port, "1").await?;
    (cache.disturb)().await;
    let after = persist(|| log.send(&*cache.port, "2")).await?;
    assert_eq!(
        cache.port.settle(vec![after.clone()]).await?,
        [Settled::Cleared]
    );
    assert_eq!(cache.port.settle(vec![after]).await?, [Settled::Known]);
    Ok(())
}
