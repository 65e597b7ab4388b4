//! Wrapped ports are still those ports, and a chat on them holds out.

#![cfg(all(feature = "conformance", feature = "faults"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use darda_core::conformance::{Backend, Disturbed};
use darda_core::faults::{
    Faults, FaultyBroker, FaultyCache, FaultyRegistry, FaultyStore, Port, Trouble,
};
use darda_core::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use darda_core::model::{ClientId, ConversationId, Entry, NodeId, UserId};
use darda_core::ports::{
    Audience, Broker, Cache, Delivery, DeliveryTag, EventBody, LiveEvent, Publication, Range,
    Route, SessionRegistry, Store, Verdict,
};
use darda_core::resilience::{
    BreakerState, Resilience, ResilientBroker, ResilientCache, ResilientRegistry, ResilientStore,
};
use darda_core::{Chat, Error, ErrorKind, Options, Ports, Result, SendRequest};
use futures::StreamExt;
use futures::stream::BoxStream;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::time::{Instant, sleep};

const LEASE: Duration = Duration::from_millis(400);

mod cache {
    use super::*;

    fn wrap(cache: Arc<MemoryCache>) -> Arc<dyn Cache> {
        Arc::new(ResilientCache::new(cache, &Resilience::default()))
    }

    async fn cache() -> Backend<Arc<dyn Cache>> {
        Backend::Ready(wrap(Arc::new(MemoryCache::new())))
    }
    darda_core::cache_conformance!(cache);

    async fn bounded() -> Backend<Arc<dyn Cache>> {
        Backend::Ready(wrap(Arc::new(MemoryCache::new().with_outbox_limit(100))))
    }
    darda_core::cache_bounds_conformance!(bounded);

    async fn forgetful() -> Backend<Disturbed<dyn Cache>> {
        let cache = Arc::new(MemoryCache::new());
        let forgetful = cache.clone();
        Backend::Ready(Disturbed::new(wrap(cache), move || {
            forgetful.lose_memory();
            Box::pin(std::future::ready(()))
        }))
    }
    darda_core::cache_loss_conformance!(forgetful);
}

mod store {
    use super::*;

    fn wrap() -> Arc<dyn Store> {
        let store = Arc::new(MemoryStore::new());
        Arc::new(ResilientStore::new(store, &Resilience::default()))
    }

    async fn store() -> Backend<Arc<dyn Store>> {
        Backend::Ready(wrap())
    }
    darda_core::store_conformance!(store);

    async fn undisturbed() -> Backend<Disturbed<dyn Store>> {
        Backend::Ready(Disturbed::new(wrap(), || Box::pin(std::future::ready(()))))
    }
    darda_core::store_restart_conformance!(undisturbed);
}

mod broker {
    use super::*;

    fn wrap(broker: Arc<MemoryBroker>) -> Arc<dyn Broker> {
        Arc::new(ResilientBroker::new(broker, &Resilience::default()))
    }

    async fn broker() -> Backend<Arc<dyn Broker>> {
        Backend::Ready(wrap(Arc::new(MemoryBroker::new())))
    }
    darda_core::broker_conformance!(broker);

    async fn bounded() -> Backend<Arc<dyn Broker>> {
        Backend::Ready(wrap(Arc::new(
            MemoryBroker::new()
                .with_queue_limit(100)
                .with_live_limit(100),
        )))
    }
    darda_core::broker_bounds_conformance!(bounded);

    async fn restarting() -> Backend<Disturbed<dyn Broker>> {
        let broker = Arc::new(MemoryBroker::new());
        let restarting = broker.clone();
        Backend::Ready(Disturbed::new(wrap(broker), move || {
            restarting.restart();
            Box::pin(std::future::ready(()))
        }))
    }
    darda_core::broker_restart_conformance!(restarting);
}

mod registry {
    use super::*;

    fn wrap(registry: Arc<MemoryRegistry>) -> Arc<dyn SessionRegistry> {
        Arc::new(ResilientRegistry::new(registry, &Resilience::default()))
    }

    async fn registry() -> Backend<Arc<dyn SessionRegistry>> {
        Backend::Ready(wrap(Arc::new(MemoryRegistry::new().with_lease(LEASE))))
    }
    darda_core::registry_conformance!(registry);

    async fn forgetful() -> Backend<Disturbed<dyn SessionRegistry>> {
        let registry = Arc::new(MemoryRegistry::new().with_lease(LEASE));
        let forgetful = registry.clone();
        Backend::Ready(Disturbed::new(wrap(registry), move || {
            forgetful.lose_memory();
            Box::pin(std::future::ready(()))
        }))
    }
    darda_core::registry_loss_conformance!(forgetful);
}

/// Memory ports that break on demand.
fn faulty(faults: &Faults) -> Ports {
    let ports = Ports::in_memory();
    Ports::new(
        Arc::new(FaultyBroker::new(ports.broker, faults.clone())),
        Arc::new(FaultyStore::new(ports.store, faults.clone())),
        Arc::new(FaultyCache::new(ports.cache, faults.clone())),
        Arc::new(FaultyRegistry::new(ports.registry, faults.clone())),
    )
}

fn hang(faults: &Faults, port: Port) {
    faults.set(port, Trouble::none().with_hanging());
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn options() -> Options {
    Options::default().without_rate_limits()
}

fn say(conversation: ConversationId, number: usize) -> SendRequest {
    let client_id = ClientId::new(number.to_string()).unwrap();
    SendRequest::new(conversation, client_id, "hello")
}

#[tokio::test(start_paused = true)]
async fn each_port_has_a_breaker_of_its_own() {
    let faults = Faults::new(1);
    let ports = faulty(&faults).resilient(&Resilience::default());
    hang(&faults, Port::Cache);
    let calls = (0..5).map(|_| ports.cache.outbox_len());
    futures::future::join_all(calls).await;
    let state = |breaker: &Option<darda_core::resilience::Breaker>| {
        breaker.as_ref().map(|breaker| breaker.state())
    };
    let breakers = &ports.breakers;
    assert_eq!(state(&breakers.cache), Some(BreakerState::Open));
    assert_eq!(state(&breakers.store), Some(BreakerState::Closed));
    assert_eq!(state(&breakers.broker), Some(BreakerState::Closed));
    assert_eq!(state(&breakers.registry), Some(BreakerState::Closed));
    let start = Instant::now();
    ports.store.memberships(user("alice")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn every_wrapped_port_answers_in_bounded_time_while_its_part_hangs() {
    let faults = Faults::new(1);
    let ports = faulty(&faults).resilient(&Resilience::default());
    for port in [Port::Broker, Port::Store, Port::Cache, Port::Registry] {
        hang(&faults, port);
    }
    let start = Instant::now();
    let node = NodeId::new("n");
    let nobody = ConversationId::from_bytes([0; 16]);
    let errors = [
        ports.broker.enqueue(Vec::new()).await.err(),
        ports.broker.publish(Vec::new()).await.err(),
        ports.broker.consume(1).await.err(),
        ports.broker.subscribe(node.clone()).await.err(),
        ports.store.members(nobody).await.err(),
        ports.store.page(nobody, Range::NEWEST, 1).await.err(),
        ports
            .cache
            .find(nobody, darda_core::model::EntryId::from_bytes([0; 16]))
            .await
            .err(),
        ports.cache.claim_overdue(LEASE, 1).await.err(),
        ports.registry.renew(node).await.err(),
        ports.registry.nodes_of(vec![user("alice")]).await.err(),
    ];
    for error in errors {
        assert_eq!(
            error.map(|error| error.kind()),
            Some(ErrorKind::Unavailable)
        );
    }
    assert!(start.elapsed() < Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_answer_would_have_said_is_not_asked_for_again() {
    let faults = Faults::new(1);
    let ports = faulty(&faults).resilient(&Resilience::default());
    for port in [Port::Broker, Port::Cache, Port::Registry] {
        faults.set(port, Trouble::none().with_failures_after(1.0));
    }
    ports.registry.renew(NodeId::new("n")).await.unwrap_err();
    ports.cache.claim_overdue(LEASE, 1).await.unwrap_err();
    assert!(ports.broker.consume(1).await.is_err());
    assert!(ports.broker.subscribe(NodeId::new("n")).await.is_err());
    assert_eq!(faults.injected(), 4);
    ports.registry.presence(Vec::new()).await.unwrap_err();
    assert_eq!(faults.injected(), 8);
}

#[tokio::test(start_paused = true)]
async fn repeats_hide_lost_answers_and_change_nothing_twice() {
    let faults = Faults::new(7);
    let plenty = Resilience::default()
        .with_attempts(20)
        .with_deadline(Duration::from_secs(60))
        .with_breaker(100, Duration::from_secs(60))
        .with_retry_budget(0.2, 1000.0);
    let patient = options().with_request_timeout(Duration::from_secs(60));
    let chat = Chat::start(faulty(&faults).resilient(&plenty), patient);
    let alice = chat.connect(user("alice")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    for port in [Port::Broker, Port::Cache, Port::Store] {
        let lossy = Trouble::none()
            .with_failures_before(0.2)
            .with_failures_after(0.3);
        faults.set(port, lossy);
    }
    let mut positions = Vec::new();
    for number in 0..50 {
        positions.push(
            alice
                .send(say(conversation, number))
                .await
                .unwrap()
                .position,
        );
    }
    let page = alice
        .history(conversation, Range::NEWEST, 200)
        .await
        .unwrap();
    let stands: Vec<_> = page.entries.iter().map(|entry| entry.position).collect();
    assert_eq!(stands, positions);
    assert!(faults.injected() > 50);
}

#[tokio::test(start_paused = true)]
async fn what_comes_through_a_stream_is_neither_bounded_nor_counted() {
    let faults = Faults::new(1);
    let ports = faulty(&faults).resilient(&Resilience::default());
    let (node, conversation) = (NodeId::new("n"), ConversationId::from_bytes([1; 16]));
    let event = || LiveEvent {
        audience: Audience::Users(vec![user("alice")]),
        origin: None,
        event: EventBody::Joined { conversation }.into(),
    };
    let publish = async || {
        let route = Route::Nodes(Arc::from([node.clone()]));
        let event = event();
        let publication = Publication { route, event };
        ports.broker.publish(vec![publication]).await.unwrap();
    };
    let mut events = ports.broker.subscribe(node.clone()).await.unwrap();
    // A quiet stream is no part that hangs.
    let quiet = tokio::time::timeout(Duration::from_secs(60), events.next());
    assert!(quiet.await.is_err());
    publish().await;
    assert_eq!(events.next().await.unwrap().unwrap(), [event()]);
    let calls = 10;
    let breaker = ports.breakers.broker.clone().unwrap();
    for _ in 0..calls {
        faults.set(Port::Broker, Trouble::none().with_cuts(1.0));
        publish().await;
        assert!(events.next().await.unwrap().is_err());
        assert!(events.next().await.is_none());
        faults.heal(Port::Broker);
        events = ports.broker.subscribe(node.clone()).await.unwrap();
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

/// A broker that has no way for live events.
#[derive(Debug)]
struct Deaf(MemoryBroker);

#[async_trait::async_trait]
impl Broker for Deaf {
    async fn enqueue(&self, entries: Vec<Arc<Entry>>) -> Result<()> {
        self.0.enqueue(entries).await
    }

    async fn consume(&self, max_batch: usize) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        self.0.consume(max_batch).await
    }

    async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        self.0.settle(verdicts).await
    }

    async fn backlog(&self) -> Result<u64> {
        self.0.backlog().await
    }

    async fn publish(&self, _: Vec<Publication>) -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "no way for live events"))
    }

    async fn subscribe(&self, node: NodeId) -> Result<BoxStream<'static, Result<Vec<LiveEvent>>>> {
        self.0.subscribe(node).await
    }
}

#[tokio::test(start_paused = true)]
async fn sends_go_on_while_live_events_alone_do_not_get_through() {
    let mut ports = Ports::in_memory();
    ports.broker = Arc::new(Deaf(MemoryBroker::new()));
    let nodes = [(), ()].map(|()| {
        let ports = ports.clone().resilient(&Resilience::default());
        Chat::start(ports, Options::default())
    });
    let alice = nodes[0].connect(user("alice")).await.unwrap();
    let _bob = nodes[1].connect(user("bob")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    for number in 0..40 {
        let name = ClientId::new(number.to_string()).unwrap();
        let request = SendRequest::new(conversation, name, "hello");
        alice.send(request).await.unwrap();
        sleep(Duration::from_millis(700)).await;
    }
    let health = nodes[0].health().await;
    let degraded = health.iter().filter(|port| port.is_degraded());
    assert_eq!(
        degraded.map(|port| port.port).collect::<Vec<_>>(),
        ["broker"]
    );
}

#[tokio::test(start_paused = true)]
async fn health_names_the_breaker_of_a_port_that_is_away() {
    let faults = Faults::new(1);
    let settings = Resilience::default().with_breaker(3, Duration::from_millis(100));
    let chat = Chat::start(faulty(&faults).resilient(&settings), options());
    let of_store = async || {
        let health = chat.health().await;
        health
            .into_iter()
            .find(|port| port.port == "store")
            .unwrap()
    };
    let well = of_store().await;
    assert!(well.ok && !well.is_degraded());
    assert_eq!(well.breaker, Some(BreakerState::Closed));
    faults.set(Port::Store, Trouble::none().with_failures_before(1.0));
    let ill = of_store().await;
    assert!(!ill.ok && ill.is_degraded());
    assert_eq!(ill.breaker, Some(BreakerState::Open));
    faults.heal(Port::Store);
    sleep(Duration::from_secs(1)).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let health = of_store().await;
        seen.push((health.ok, health.breaker.unwrap(), health.is_degraded()));
    }
    assert_eq!(
        seen,
        [
            (true, BreakerState::HalfOpen, true),
            (true, BreakerState::HalfOpen, true),
            (true, BreakerState::Closed, false),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn health_answers_within_half_a_second_while_every_port_hangs() {
    let faults = Faults::new(1);
    let chat = Chat::start(faulty(&faults).resilient(&Resilience::default()), options());
    for port in [Port::Broker, Port::Store, Port::Cache, Port::Registry] {
        hang(&faults, port);
    }
    let start = Instant::now();
    assert!(chat.health().await.iter().all(|port| port.is_degraded()));
    assert!(start.elapsed() <= Duration::from_millis(510));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_delays_live_events_by_a_few_calls_and_not_by_one_each() {
    const EVENTS: usize = 500;
    // The newest is kept for later.
    const DROPPED: usize = EVENTS - 1;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let faults = Faults::new(1);
    let ports = faulty(&faults).resilient(&Resilience::default());
    let chat = metrics::with_local_recorder(&recorder, || Chat::start(ports, options()));
    let alice = chat.connect(user("alice")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    hang(&faults, Port::Registry);
    let start = Instant::now();
    for number in 0..EVENTS {
        alice.send(say(conversation, number)).await.unwrap();
    }
    let mut dropped = 0;
    // Three calls of at most 2 s open the breaker, and it answers for the rest.
    while dropped < DROPPED && start.elapsed() < Duration::from_secs(7) {
        sleep(Duration::from_millis(10)).await;
        // A snapshot takes what was counted since the last one.
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            if let DebugValue::Counter(count) = value
                && key.key().name() == darda_core::observe::PUBLISH_DROPS
            {
                dropped += usize::try_from(count).unwrap();
            }
        }
    }
    assert!(dropped >= DROPPED, "{dropped} in {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn within_one_request_the_store_is_asked_instead_of_a_cache_that_hangs() {
    let faults = Faults::new(1);
    let ports = faulty(&faults);
    let store = ports.store.clone();
    let chat = Chat::start(ports.resilient(&Resilience::default()), options());
    let alice = chat.connect(user("alice")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    let ack = alice.send(say(conversation, 1)).await.unwrap();
    let stored = async || store.page(conversation, Range::NEWEST, 1).await.unwrap();
    while stored().await.is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    hang(&faults, Port::Cache);
    let page = alice
        .history(conversation, Range::NEWEST, 50)
        .await
        .unwrap();
    assert!(page.stale);
    assert_eq!(
        page.entries.last().map(|entry| entry.position),
        Some(ack.position)
    );
}
