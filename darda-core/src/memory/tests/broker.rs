use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::{conversation, entry, user};
use crate::error::ErrorKind;
use crate::memory::MemoryBroker;
use crate::model::{NodeId, Position};
use crate::ports::{Audience, Broker, Delivery, EventBody, LiveEvent, Publication, Route, Verdict};

async fn deliver(broker: &MemoryBroker, count: u64) -> Vec<Delivery> {
    broker
        .enqueue((1..=count).map(entry).collect())
        .await
        .unwrap();
    let mut stream = broker.consume(1000).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    // The stream stays, so that the deliveries stay given.
    std::mem::forget(stream);
    batch
}

fn publication(number: u64) -> Publication {
    let event = EventBody::Heads {
        heads: vec![(conversation(0, 1), Position(number))],
    };
    let audience = Audience::Users(vec![user("user")]);
    let event = LiveEvent {
        audience,
        origin: None,
        event: event.into(),
    };
    Publication {
        route: Route::Nodes([NodeId::new("node")].into()),
        event,
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_to_do_again_waits_100_ms_and_goes_first() {
    let broker = MemoryBroker::new();
    let mut stream = broker.consume(2).await.unwrap();
    broker.enqueue((1..=2).map(entry).collect()).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    let again = batch
        .iter()
        .map(|delivery| (delivery.tag, Verdict::Again))
        .collect();
    broker.settle(again).await.unwrap();
    assert!(stream.next().now_or_never().is_none());
    let since = Instant::now();
    let batch = stream.next().await.unwrap().unwrap();
    let positions: Vec<_> = batch
        .iter()
        .map(|delivery| delivery.entry.position.0)
        .collect();
    assert_eq!(positions, [1, 2]);
    assert!(
        since.elapsed() >= Duration::from_millis(100),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_batch_that_does_not_fit_leaves_nothing() {
    let broker = MemoryBroker::new().with_queue_limit(5);
    broker.enqueue((1..=3).map(entry).collect()).await.unwrap();
    let error = broker
        .enqueue((4..=6).map(entry).collect())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(broker.backlog().await.unwrap(), 3);
    broker.enqueue((4..=5).map(entry).collect()).await.unwrap();
}

#[tokio::test]
async fn entries_that_are_given_count_for_the_limit() {
    let broker = MemoryBroker::new().with_queue_limit(3);
    let batch = deliver(&broker, 3).await;
    assert!(broker.enqueue(vec![entry(4)]).await.is_err());
    broker
        .settle(vec![(batch[0].tag, Verdict::Again)])
        .await
        .unwrap();
    assert!(broker.enqueue(vec![entry(4)]).await.is_err());
    broker
        .settle(vec![(batch[1].tag, Verdict::Done)])
        .await
        .unwrap();
    broker.enqueue(vec![entry(4)]).await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_kept_and_bounded() {
    let broker = MemoryBroker::new().with_dead_letter_limit(2);
    let batch = deliver(&broker, 3).await;
    let dead = batch
        .iter()
        .map(|delivery| (delivery.tag, Verdict::Dead))
        .collect();
    broker.settle(dead).await.unwrap();
    let kept: Vec<_> = broker
        .dead_letters()
        .iter()
        .map(|entry| entry.position.0)
        .collect();
    assert_eq!(kept, [2, 3]);
    assert_eq!(broker.backlog().await.unwrap(), 0);
}

#[tokio::test]
async fn a_full_live_queue_counts_what_it_drops() {
    let broker = MemoryBroker::new().with_live_limit(10);
    let mut events = broker.subscribe(NodeId::new("node")).await.unwrap();
    broker
        .publish((1..=25).map(publication).collect())
        .await
        .unwrap();
    assert_eq!(broker.live_dropped(), 15);
    let batch = events.next().await.unwrap().unwrap();
    let expected: Vec<_> = (16..=25).map(|number| publication(number).event).collect();
    assert_eq!(batch, expected);
}

#[tokio::test]
async fn a_waiting_consumer_is_woken_by_each_of_the_ways() {
    let broker = MemoryBroker::new();
    let mut first = broker.consume(10).await.unwrap();
    let mut second = broker.consume(10).await.unwrap();
    let waiting = tokio::spawn(async move { second.next().await.unwrap().unwrap().len() });
    tokio::task::yield_now().await;
    broker.enqueue(vec![entry(1), entry(2)]).await.unwrap();
    assert_eq!(first.next().await.unwrap().unwrap().len(), 2);
    // By the end of the active one, which gives back what it did not settle.
    drop(first);
    assert_eq!(waiting.await.unwrap(), 2);
}
