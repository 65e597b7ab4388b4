//! A broker whose queues are full.

use std::sync::Arc;

use super::broker::{delivered, give, receive};
use super::fixture::{Log, node, positions};
use super::live::{numbered, numbers_up_to, to};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Entry;
use crate::ports::{Broker, Verdict};

/// Enqueues until the queue is full, and gives what it took and the refusal.
async fn fill(broker: &dyn Broker, log: &Log) -> Result<(Vec<Arc<Entry>>, Error)> {
    let mut taken = Vec::new();
    for entry in log.entries(2000) {
        match broker.enqueue(vec![entry.clone()]).await {
            Ok(()) => taken.push(entry),
            Err(error) => return Ok((taken, error)),
        }
    }
    Err(Error::new(ErrorKind::Internal, "the queue is never full"))
}

pub(super) async fn a_full_queue_is_busy(broker: Arc<dyn Broker>) -> Result<()> {
    let (_, error) = fill(&*broker, &Log::new()).await?;
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.retry_after().is_some());
    Ok(())
}

pub(super) async fn a_full_queue_takes_more_when_entries_are_settled(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let log = Log::new();
    let (taken, _) = fill(&*broker, &log).await?;
    let mut stream = broker.consume(10).await?;
    let mut received = Vec::new();
    while received.len() < taken.len() {
        let batch = receive(&mut stream, 1).await?;
        give(&*broker, &batch, Verdict::Done).await?;
        received.extend(delivered(&batch));
    }
    // Nothing of what was confirmed is missing.
    assert_eq!(positions(&received[..taken.len()]), positions(&taken));
    broker.enqueue(vec![log.entry(5000, "more")]).await
}

pub(super) async fn a_full_live_queue_drops_its_oldest_events(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    const SENT: u64 = 2000;
    let node = node("slow");
    let mut events = broker.subscribe(node.clone()).await?;
    for number in 1..=SENT {
        broker.publish(vec![to(&[&node], numbered(number))]).await?;
    }
    let received = numbers_up_to(&mut events, SENT).await?;
    let lost = SENT as usize - received.len();
    assert!(lost > 0, "nothing was dropped");
    Ok(())
}
