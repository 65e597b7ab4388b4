//! Each fault does what it says, and a seed repeats it.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::{Faults, FaultyBroker, FaultyCache, FaultyRegistry, FaultyStore, Port, Trouble};
use crate::error::ErrorKind;
use crate::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use crate::model::{ClientId, ConversationId, Entry, Epoch, NodeId, Position, SessionId, UserId};
use crate::ports::{
    Admission, Append, Appended, Audience, Broker, Cache, EventBody, Inserted, LiveEvent, Presence,
    Publication, Range, Route, SessionRegistry, Store, Verdict,
};
use crate::samples;

fn user() -> UserId {
    UserId::new("user").unwrap()
}

fn conversation() -> ConversationId {
    ConversationId::group(&user(), &ClientId::new("group").unwrap())
}

fn entry(position: u64) -> Arc<Entry> {
    Arc::new(samples::entry(conversation(), position, "text".into()))
}

fn entries(count: u64) -> Vec<Arc<Entry>> {
    (1..=count).map(entry).collect()
}

fn append(number: u64) -> Append {
    let entry = entry(number);
    Append {
        conversation: entry.conversation,
        id: entry.id,
        sender: entry.sender.clone(),
        client_id: entry.client_id.clone(),
        body: entry.body.clone(),
        admission: Admission::Checked {
            epoch: Epoch(0),
            fresh: true,
        },
    }
}

fn publication(number: u64) -> Publication {
    let event = EventBody::Heads {
        heads: vec![(conversation(), Position(number))],
    };
    let audience = Audience::Users(vec![user()]);
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

fn number(event: &LiveEvent) -> u64 {
    match event.event.body() {
        EventBody::Heads { heads } => heads[0].1.0,
        other => panic!("{other:?}"),
    }
}

fn store(seed: u64) -> (Arc<MemoryStore>, FaultyStore, Faults) {
    let (store, faults) = (Arc::new(MemoryStore::new()), Faults::new(seed));
    (
        store.clone(),
        FaultyStore::new(store, faults.clone()),
        faults,
    )
}

fn broker(seed: u64) -> (FaultyBroker, Faults) {
    let faults = Faults::new(seed);
    (
        FaultyBroker::new(Arc::new(MemoryBroker::new()), faults.clone()),
        faults,
    )
}

async fn stored(store: &dyn Store) -> usize {
    store
        .page(conversation(), Range::OLDEST, 1000)
        .await
        .unwrap()
        .len()
}

/// What one subscriber receives of `count` events, published one by one, while this goes wrong.
async fn received(seed: u64, trouble: Trouble, count: u64) -> Vec<u64> {
    let (broker, faults) = broker(seed);
    let mut events = broker.subscribe(NodeId::new("node")).await.unwrap();
    faults.set(Port::Broker, trouble);
    let publications = (1..=count).map(publication).collect();
    broker.publish(publications).await.unwrap();
    let mut received = Vec::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
        let Ok(Some(Ok(batch))) = next else {
            return received;
        };
        received.extend(batch.iter().map(number));
    }
}

#[tokio::test]
async fn without_trouble_nothing_goes_wrong() {
    let (_, store, faults) = store(1);
    assert_eq!(store.insert(entries(3)).await.unwrap(), [Inserted::New; 3]);
    assert_eq!(faults.injected(), 0);
}

#[tokio::test]
async fn a_failure_before_takes_no_effect() {
    let (inner, store, faults) = store(1);
    faults.set(Port::Store, Trouble::none().with_failures_before(1.0));
    let error = store.insert(entries(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(stored(&*inner).await, 0);
    assert_eq!(faults.injected(), 1);
}

#[tokio::test]
async fn a_failure_after_takes_effect() {
    let (inner, store, faults) = store(1);
    faults.set(Port::Store, Trouble::none().with_failures_after(1.0));
    let error = store.insert(entries(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(stored(&*inner).await, 3);
}

#[tokio::test]
async fn a_failure_midway_takes_effect_in_part() {
    let (inner, store, faults) = store(1);
    faults.set(Port::Store, Trouble::none().with_failures_midway(1.0));
    let error = store.insert(entries(100)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let stored = stored(&*inner).await;
    assert!((1..100).contains(&stored), "{stored} of 100");
}

#[tokio::test]
async fn a_chance_of_a_half_strikes_half_of_the_calls() {
    let (_, store, faults) = store(1);
    faults.set(Port::Store, Trouble::none().with_failures_before(0.5));
    let mut failed = 0;
    for _ in 0..1000 {
        failed += u32::from(store.members(conversation()).await.is_err());
    }
    assert!((400..600).contains(&failed), "{failed} of 1000");
}

#[tokio::test]
async fn trouble_at_one_port_leaves_the_others_alone() {
    let (_, store, faults) = store(1);
    let cache = FaultyCache::new(Arc::new(MemoryCache::new()), faults.clone());
    faults.set(Port::Store, Trouble::none().with_failures_before(1.0));
    assert!(matches!(
        cache.append(append(1)).await,
        Ok(Appended::New(_))
    ));
    faults.set(Port::Cache, Trouble::none().with_failures_before(1.0));
    assert!(cache.append(append(2)).await.is_err());
    faults.heal(Port::Store);
    assert!(store.members(conversation()).await.is_ok());
    assert!(cache.outbox_len().await.is_err());
    faults.heal_all();
    assert_eq!(cache.outbox_len().await.unwrap(), 1);
}

#[tokio::test]
async fn an_append_that_failed_after_is_a_repeat() {
    let faults = Faults::new(1);
    let cache = FaultyCache::new(Arc::new(MemoryCache::new()), faults.clone());
    faults.set(Port::Cache, Trouble::none().with_failures_after(1.0));
    assert!(cache.append(append(1)).await.is_err());
    faults.heal_all();
    assert!(matches!(
        cache.append(append(1)).await,
        Ok(Appended::Repeat { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_drawn_from_its_range_before_and_after_the_effect() {
    let (_, store, faults) = store(1);
    let (least, most) = (Duration::from_millis(100), Duration::from_millis(300));
    faults.set(Port::Store, Trouble::none().with_delay(least..=most));
    for _ in 0..20 {
        let before = Instant::now();
        store.members(conversation()).await.unwrap();
        let took = before.elapsed();
        assert!(
            took >= least * 2 && took <= most * 2 + Duration::from_millis(4),
            "{took:?}"
        );
    }
    assert_eq!(faults.injected(), 0);
}

#[tokio::test]
async fn a_hanging_call_goes_on_when_the_trouble_is_over() {
    let (inner, store, faults) = store(1);
    faults.set(Port::Store, Trouble::none().with_hanging());
    let mut insert = store.insert(entries(1));
    assert!(insert.as_mut().now_or_never().is_none());
    assert_eq!(stored(&*inner).await, 0);
    faults.heal(Port::Store);
    assert_eq!(insert.await.unwrap(), [Inserted::New]);
    assert_eq!(faults.injected(), 1);
}

#[tokio::test]
async fn a_hanging_call_that_is_dropped_takes_no_effect() {
    let (inner, store, faults) = store(1);
    faults.set(Port::Store, Trouble::none().with_hanging());
    assert!(store.insert(entries(1)).now_or_never().is_none());
    faults.heal_all();
    assert_eq!(stored(&*inner).await, 0);
}

#[tokio::test]
async fn a_hanging_stream_keeps_its_batch() {
    let (broker, faults) = broker(1);
    let mut deliveries = broker.consume(10).await.unwrap();
    broker.enqueue(entries(1)).await.unwrap();
    faults.set(Port::Broker, Trouble::none().with_hanging());
    assert!(deliveries.next().now_or_never().is_none());
    faults.heal_all();
    assert_eq!(deliveries.next().await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_and_its_deliveries_come_again() {
    let (broker, faults) = broker(1);
    broker.enqueue(entries(3)).await.unwrap();
    let mut deliveries = broker.consume(10).await.unwrap();
    faults.set(Port::Broker, Trouble::none().with_cuts(1.0));
    assert!(deliveries.next().await.unwrap().is_err());
    assert!(deliveries.next().await.is_none());
    faults.heal_all();
    let mut deliveries = broker.consume(10).await.unwrap();
    assert_eq!(deliveries.next().await.unwrap().unwrap().len(), 3);
}

#[tokio::test]
async fn a_repeated_delivery_is_settled_once() {
    let (broker, faults) = broker(1);
    broker.enqueue(entries(3)).await.unwrap();
    faults.set(Port::Broker, Trouble::none().with_repeats(1.0));
    let mut deliveries = broker.consume(10).await.unwrap();
    let batch = deliveries.next().await.unwrap().unwrap();
    let positions: Vec<_> = batch
        .iter()
        .map(|delivery| delivery.entry.position.0)
        .collect();
    assert_eq!(positions, [1, 2, 3, 1, 2, 3]);
    let verdicts = |from| {
        batch[from..from + 3]
            .iter()
            .map(|it| (it.tag, Verdict::Done))
            .collect()
    };
    broker.settle(verdicts(3)).await.unwrap();
    assert_eq!(broker.backlog().await.unwrap(), 3);
    broker.settle(verdicts(0)).await.unwrap();
    assert_eq!(broker.backlog().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn events_are_lost_repeated_and_shuffled() {
    let sent: Vec<u64> = (1..=100).collect();
    assert_eq!(received(1, Trouble::none(), 100).await, sent);
    assert!(
        received(1, Trouble::none().with_lost_events(1.0), 100)
            .await
            .is_empty()
    );

    let some = received(1, Trouble::none().with_lost_events(0.5), 100).await;
    assert!(
        some.is_sorted() && (25..75).contains(&some.len()),
        "{some:?}"
    );

    let twice = received(1, Trouble::none().with_repeats(1.0), 3).await;
    assert_eq!(twice, [1, 1, 2, 2, 3, 3]);

    let mut shuffled = received(1, Trouble::none().with_shuffling(1.0), 100).await;
    assert_ne!(shuffled, sent);
    shuffled.sort_unstable();
    assert_eq!(shuffled, sent);
}

#[tokio::test(start_paused = true)]
async fn events_held_back_are_overtaken_but_come() {
    let trouble = Trouble::none().with_events_held_back(0.3, Duration::from_secs(5));
    let mut late = received(1, trouble, 100).await;
    assert!(!late.is_sorted());
    late.sort_unstable();
    assert_eq!(late, (1..=100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_and_another_differs() {
    let trouble = || {
        Trouble::none()
            .with_lost_events(0.2)
            .with_repeats(0.2)
            .with_shuffling(0.5)
            .with_events_held_back(0.2, Duration::from_secs(1))
    };
    let first = received(7, trouble(), 200).await;
    assert_eq!(received(7, trouble(), 200).await, first);
    assert_ne!(received(8, trouble(), 200).await, first);
}

#[tokio::test]
async fn a_registry_goes_wrong_like_the_others() {
    let faults = Faults::new(1);
    let registry = FaultyRegistry::new(Arc::new(MemoryRegistry::new()), faults.clone());
    let node = NodeId::new("node");
    let session = vec![(
        user(),
        SessionId {
            node: node.clone(),
            number: 1,
        },
    )];
    faults.set(Port::Registry, Trouble::none().with_failures_after(1.0));
    assert!(
        registry
            .register(node.clone(), session.clone())
            .await
            .is_err()
    );
    faults.heal_all();
    assert_eq!(
        registry.presence(vec![user()]).await.unwrap(),
        [Presence::Online]
    );
    faults.set(Port::Registry, Trouble::none().with_failures_before(1.0));
    assert!(registry.unregister(session).await.is_err());
    faults.heal_all();
    assert_eq!(registry.nodes_of(vec![user()]).await.unwrap(), [node]);
}
