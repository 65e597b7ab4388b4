//! A cache whose outbox is full.

use std::sync::Arc;

use super::fixture::{Log, appended};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Entry, Epoch};
use crate::ports::{Admission, Appended, Cache};

/// Appends until the outbox is full, and gives what it took and the refusal.
async fn fill(cache: &dyn Cache, log: &Log) -> Result<(Vec<Arc<Entry>>, Error)> {
    let mut taken = Vec::new();
    for number in 0..1000 {
        match log.send(cache, &format!("{number}")).await {
            Ok(entry) => taken.push(entry),
            Err(error) => return Ok((taken, error)),
        }
    }
    Err(Error::new(ErrorKind::Internal, "the outbox is never full"))
}

pub(super) async fn a_full_outbox_is_busy(cache: Arc<dyn Cache>) -> Result<()> {
    let (_, error) = fill(&*cache, &Log::new()).await?;
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.retry_after().is_some());
    Ok(())
}

pub(super) async fn a_full_outbox_answers_repeats(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    let (taken, _) = fill(&*cache, &log).await?;
    let repeat = cache.append(log.append("0", "0", false)).await?;
    let first = taken[0].position;
    let right = matches!(repeat, Appended::Repeat { position, .. } if position == first);
    assert!(right, "{repeat:?}");
    Ok(())
}

pub(super) async fn a_full_outbox_takes_relocated_entries(cache: Arc<dyn Cache>) -> Result<()> {
    let log = Log::new();
    fill(&*cache, &log).await?;
    let relocated = Admission::Relocated { epoch: Epoch(0) };
    appended(&*cache, log.admitted("relocated", "text", relocated)).await?;
    Ok(())
}

pub(super) async fn a_full_outbox_takes_more_when_entries_are_settled(
    cache: Arc<dyn Cache>,
) -> Result<()> {
    let log = Log::new();
    let (taken, _) = fill(&*cache, &log).await?;
    let last = taken.last().map(|entry| entry.position);
    cache.settle(taken).await?;
    // What was refused has left nothing behind.
    assert_eq!(log.send(&*cache, "more").await?.prev, last);
    Ok(())
}
