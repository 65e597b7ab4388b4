//! A broker's durable hand-over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select};
use futures::{StreamExt, TryStreamExt};

use super::fixture::{Log, next, positions, until};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Entry, Position};
use crate::ports::{Broker, Delivery, DeliveryTag, Verdict};

/// Streams to which an entry may come again whose verdict was on its way when the one before was dropped.
const STREAMS: u64 = 5;
/// Positions of entries that are enqueued to see what comes before them.
const FIRST_MARKER: u64 = 100;

pub(super) type Deliveries = BoxStream<'static, Result<Vec<Delivery>>>;

/// Receives until there are so many.
pub(super) async fn receive(stream: &mut Deliveries, count: usize) -> Result<Vec<Delivery>> {
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(next(stream).await?);
    }
    Ok(received)
}

pub(super) async fn give(
    broker: &dyn Broker,
    deliveries: &[Delivery],
    verdict: Verdict,
) -> Result<()> {
    broker
        .settle(
            deliveries
                .iter()
                .map(|delivery| (delivery.tag, verdict))
                .collect(),
        )
        .await
}

pub(super) fn delivered(deliveries: &[Delivery]) -> Vec<Arc<Entry>> {
    deliveries
        .iter()
        .map(|delivery| delivery.entry.clone())
        .collect()
}

/// Asserts that the next entry to come is this one, so that none before it is left.
pub(super) async fn nothing_before(
    broker: &dyn Broker,
    stream: &mut Deliveries,
    marker: Arc<Entry>,
) -> Result<()> {
    broker.enqueue(vec![marker.clone()]).await?;
    let received = receive(stream, 1).await?;
    assert_eq!(delivered(&received), [marker]);
    give(broker, &received, Verdict::Done).await
}

pub(super) async fn an_enqueued_entry_is_delivered_as_it_was(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let mut stream = broker.consume(10).await?;
    let entry = Log::new().entry(1 << 50, "text with ünicode \u{1f600}");
    let entry = Arc::new(Entry {
        prev: Some(Position(17)),
        ..(*entry).clone()
    });
    broker.enqueue(vec![entry.clone()]).await?;
    assert_eq!(delivered(&receive(&mut stream, 1).await?), [entry]);
    Ok(())
}

pub(super) async fn an_entry_enqueued_before_there_is_a_consumer_waits(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let entry = Log::new().entry(1, "1");
    broker.enqueue(vec![entry.clone()]).await?;
    let mut stream = broker.consume(10).await?;
    assert_eq!(delivered(&receive(&mut stream, 1).await?), [entry]);
    Ok(())
}

pub(super) async fn entries_of_a_conversation_come_in_order(broker: Arc<dyn Broker>) -> Result<()> {
    let (log, other) = (Log::new(), Log::new());
    let mut stream = broker.consume(7).await?;
    for entry in log.entries(30) {
        broker.enqueue(vec![entry, other.entry(1, "1")]).await?;
    }
    let mut received = delivered(&receive(&mut stream, 60).await?);
    received.retain(|entry| entry.conversation == log.id);
    assert_eq!(positions(&received), (1..=30).collect::<Vec<_>>());
    Ok(())
}

pub(super) async fn a_batch_is_no_larger_than_asked(broker: Arc<dyn Broker>) -> Result<()> {
    broker.enqueue(Log::new().entries(20)).await?;
    let mut stream = broker.consume(6).await?;
    let mut received = 0;
    while received < 20 {
        let batch = next(&mut stream).await?;
        assert!((1..=6).contains(&batch.len()), "{} in a batch", batch.len());
        received += batch.len();
        give(&*broker, &batch, Verdict::Done).await?;
    }
    Ok(())
}

pub(super) async fn a_batch_is_as_large_as_what_waits(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    let mut stream = broker.consume(100).await?;
    // A server may need a moment to send them all; then they come together.
    for round in 0..50 {
        let entries = (1..=20).map(|n| log.entry(round * 100 + n, &format!("{round}-{n}")));
        broker.enqueue(entries.collect()).await?;
        let mut batches = 0;
        let mut received = 0;
        while received < 20 {
            let batch = next(&mut stream).await?;
            batches += 1;
            received += batch.len();
            give(&*broker, &batch, Verdict::Done).await?;
        }
        if batches < 20 {
            return Ok(());
        }
    }
    Err(Error::new(
        ErrorKind::Internal,
        "every entry came in a batch of its own",
    ))
}

pub(super) async fn a_done_entry_comes_no_more(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    let mut stream = broker.consume(10).await?;
    broker.enqueue(log.entries(3)).await?;
    let received = receive(&mut stream, 3).await?;
    give(&*broker, &received, Verdict::Done).await?;
    drop(stream);
    let left = comes_no_more(&*broker, &log, |_| true, Verdict::Done).await?;
    assert_eq!(delivered(&left), []);
    Ok(())
}

pub(super) async fn an_entry_to_do_again_comes_again(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    let mut stream = broker.consume(10).await?;
    broker.enqueue(log.entries(2)).await?;
    let mut received = receive(&mut stream, 2).await?;
    for _ in 0..3 {
        give(&*broker, &received[..1], Verdict::Again).await?;
        give(&*broker, &received[1..], Verdict::Done).await?;
        received = receive(&mut stream, 1).await?;
        assert_eq!(delivered(&received), [log.entry(1, "1")]);
    }
    give(&*broker, &received, Verdict::Done).await?;
    nothing_before(&*broker, &mut stream, log.entry(9, "marker")).await
}

pub(super) async fn a_dead_entry_comes_no_more(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    let mut stream = broker.consume(10).await?;
    broker.enqueue(log.entries(1)).await?;
    let received = receive(&mut stream, 1).await?;
    give(&*broker, &received, Verdict::Dead).await?;
    nothing_before(&*broker, &mut stream, log.entry(8, "marker")).await?;
    drop(stream);
    let left = comes_no_more(&*broker, &log, |_| true, Verdict::Dead).await?;
    assert_eq!(delivered(&left), []);
    Ok(())
}

pub(super) async fn unsettled_entries_of_a_dropped_stream_go_to_the_next(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let log = Log::new();
    let mut stream = broker.consume(10).await?;
    broker.enqueue(log.entries(4)).await?;
    let received = receive(&mut stream, 4).await?;
    give(&*broker, &received[1..2], Verdict::Done).await?;
    drop(stream);
    let mut stream = broker.consume(10).await?;
    let mut again = receive(&mut stream, 3).await?;
    // The second one may come with them, since it was enqueued with them.
    while !(again.iter()).any(|it| it.entry.position == Position(4)) {
        again.extend(next(&mut stream).await?);
    }
    let mut seen = positions(&delivered(&again));
    seen.sort_unstable();
    seen.retain(|position| *position != 2);
    assert_eq!(seen, [1, 3, 4]);
    give(&*broker, &again, Verdict::Done).await?;
    nothing_before(&*broker, &mut stream, log.entry(9, "marker")).await
}

pub(super) async fn an_entry_settled_by_itself_comes_no_more(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let log = Log::new();
    let mut stream = broker.consume(10).await?;
    for entry in log.entries(4) {
        broker.enqueue(vec![entry]).await?;
    }
    let received = receive(&mut stream, 4).await?;
    give(&*broker, &received[1..2], Verdict::Done).await?;
    drop(stream);
    let second = |it: &Delivery| it.entry.position == Position(2);
    let left = comes_no_more(&*broker, &log, second, Verdict::Done).await?;
    let mut left = positions(&delivered(&left));
    left.sort_unstable();
    assert_eq!(left, [1, 3, 4]);
    Ok(())
}

/// New streams until one brings nothing of what was settled before; what else it brings.
///
/// A verdict that was on its way when its stream was dropped may be lost.
async fn comes_no_more(
    broker: &dyn Broker,
    log: &Log,
    settled: impl Fn(&Delivery) -> bool,
    verdict: Verdict,
) -> Result<Vec<Delivery>> {
    for number in 0..STREAMS {
        let mut stream = broker.consume(10).await?;
        let marker = log.entry(FIRST_MARKER + number, &format!("marker {number}"));
        broker.enqueue(vec![marker.clone()]).await?;
        let mut received = Vec::new();
        while !(received.iter()).any(|it: &Delivery| it.entry == marker) {
            received.extend(next(&mut stream).await?);
        }
        let (markers, others): (Vec<_>, Vec<_>) = received
            .into_iter()
            .partition(|it| it.entry.position >= Position(FIRST_MARKER));
        give(broker, &markers, Verdict::Done).await?;
        let (again, others): (Vec<_>, Vec<_>) = others.into_iter().partition(&settled);
        if again.is_empty() {
            return Ok(others);
        }
        give(broker, &again, verdict).await?;
    }
    Err(Error::new(
        ErrorKind::Conflict,
        "a settled entry comes again and again",
    ))
}

pub(super) async fn what_waits_beyond_a_batch_is_not_settled_with_it(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    // Several conversations, so that several queues are read.
    let logs: Vec<_> = (0..8).map(|_| Log::new()).collect();
    for log in &logs {
        broker.enqueue(log.entries(20)).await?;
    }
    let mut stream = broker.consume(10).await?;
    let mut done = next(&mut stream).await?;
    // By now the rest is on its way too.
    tokio::time::sleep(Duration::from_millis(200)).await;
    done.extend(next(&mut stream).await?);
    give(&*broker, &done, Verdict::Done).await?;
    drop(stream);
    let mut stream = broker.consume(10).await?;
    let mut seen: BTreeSet<_> = done.iter().map(|it| it.entry.id).collect();
    while seen.len() < 8 * 20 {
        seen.extend(next(&mut stream).await?.iter().map(|it| it.entry.id));
    }
    Ok(())
}

pub(super) async fn one_consumer_is_given_all_of_a_shard(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    let first = broker.consume(4).await?.map_ok(|batch| (1, batch)).boxed();
    let second = broker.consume(4).await?.map_ok(|batch| (2, batch)).boxed();
    let mut both: BoxStream<'static, Result<(u32, Vec<Delivery>)>> = select(first, second).boxed();
    let (mut consumers, mut received) = (BTreeSet::new(), 0);
    for entry in log.entries(40) {
        broker.enqueue(vec![entry]).await?;
    }
    while received < 40 {
        let (consumer, batch) = next(&mut both).await?;
        consumers.insert(consumer);
        received += batch.len();
        give(&*broker, &batch, Verdict::Done).await?;
    }
    assert_eq!(consumers.len(), 1);
    Ok(())
}

pub(super) async fn another_consumer_takes_over(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    broker.enqueue(log.entries(5)).await?;
    let mut first = broker.consume(10).await?;
    receive(&mut first, 5).await?;
    let mut second = broker.consume(10).await?;
    drop(first);
    let mut again = positions(&delivered(&receive(&mut second, 5).await?));
    again.sort_unstable();
    assert_eq!(again, [1, 2, 3, 4, 5]);
    broker.enqueue(vec![log.entry(6, "6")]).await?;
    assert_eq!(
        delivered(&receive(&mut second, 1).await?),
        [log.entry(6, "6")]
    );
    Ok(())
}

pub(super) async fn a_verdict_after_the_stream_ended_is_ignored(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let log = Log::new();
    broker.enqueue(log.entries(2)).await?;
    let mut stream = broker.consume(10).await?;
    let received = receive(&mut stream, 2).await?;
    drop(stream);
    let mut stream = broker.consume(10).await?;
    let again = receive(&mut stream, 2).await?;
    give(&*broker, &received, Verdict::Done).await?;
    drop(stream);
    let mut stream = broker.consume(10).await?;
    let once_more = receive(&mut stream, 2).await?;
    assert_eq!(delivered(&once_more).len(), again.len());
    Ok(())
}

pub(super) async fn an_unknown_tag_is_ignored(broker: Arc<dyn Broker>) -> Result<()> {
    let mut stream = broker.consume(10).await?;
    broker
        .settle(vec![(DeliveryTag(u64::MAX), Verdict::Done)])
        .await?;
    let log = Log::new();
    broker.enqueue(log.entries(1)).await?;
    let received = receive(&mut stream, 1).await?;
    let twice = vec![
        (received[0].tag, Verdict::Done),
        (received[0].tag, Verdict::Again),
    ];
    broker.settle(twice).await?;
    nothing_before(&*broker, &mut stream, log.entry(9, "marker")).await
}

/// Waits until the backlog is so many.
async fn backlog(broker: &Arc<dyn Broker>, count: u64) -> Result<()> {
    until("the backlog's length", async || {
        Ok(broker.backlog().await? == count)
    })
    .await
}

pub(super) async fn the_backlog_counts_what_is_not_settled(broker: Arc<dyn Broker>) -> Result<()> {
    backlog(&broker, 0).await?;
    broker.enqueue(Log::new().entries(5)).await?;
    backlog(&broker, 5).await?;
    let mut stream = broker.consume(10).await?;
    let received = receive(&mut stream, 5).await?;
    backlog(&broker, 5).await?;
    give(&*broker, &received[..3], Verdict::Done).await?;
    give(&*broker, &received[3..4], Verdict::Dead).await?;
    backlog(&broker, 1).await
}

pub(super) async fn an_empty_batch_is_nothing(broker: Arc<dyn Broker>) -> Result<()> {
    broker.enqueue(Vec::new()).await?;
    broker.settle(Vec::new()).await?;
    broker.publish(Vec::new()).await?;
    let mut stream = broker.consume(10).await?;
    nothing_before(&*broker, &mut stream, Log::new().entry(1, "marker")).await
}
