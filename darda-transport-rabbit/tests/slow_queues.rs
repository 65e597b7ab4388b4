//! Durable queues that do not answer, as while they have no majority: live events wait for none of them.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use darda_backends::{Rabbit, RabbitOptions, or_skip};
use darda_core::Result;
use darda_core::model::NodeId;
use darda_core::ports::{Broker, LiveEvent, Verdict};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::BoxStream;
use support::{entries, joined, positions};
use tokio::time::timeout;

/// Far above what a live event takes, below what a publish waits for its confirmation.
const SOON: Duration = Duration::from_secs(3);
/// Messages after which RabbitMQ reads no more from a connection whose queues do not answer: it lends a
/// connection's reader 400.
const MESSAGES: u64 = 1_000;
/// For a connection that is made.
const CONNECTED: Duration = Duration::from_secs(10);

type Live = BoxStream<'static, Result<Vec<LiveEvent>>>;

/// Does something to the processes of all durable queues.
async fn to_queues(rabbit: &Rabbit, verb: &str) {
    let queues = r#"lists:prefix("%2F_darda.", atom_to_list(Queue))"#;
    let all = format!("[sys:{verb}(Queue) || Queue <- registered(), {queues}].");
    let done = rabbit.control(&["eval", &all]).await.unwrap();
    // One result for each of two durable queues and the dead letters.
    assert_eq!(done.matches("ok").count(), 3, "{done}");
}

async fn live_comes(broker: &RabbitBroker, node: &str, stream: &mut Live) {
    broker.publish(vec![joined(node)]).await.unwrap();
    let events = stream.next().await.unwrap().unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn live_events_do_not_wait_for_durable_queues_that_do_not_answer() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default()).await) else {
        return;
    };
    let config = RabbitConfig::new(rabbit.url())
        .with_persist_queues(2)
        .with_connect_timeout(Duration::from_secs(15));
    let broker = RabbitBroker::connect(config.clone()).await.unwrap();
    let mut stream = broker.subscribe(NodeId::new("b")).await.unwrap();
    broker.enqueue(entries(1)).await.unwrap();
    live_comes(&broker, "b", &mut stream).await;

    to_queues(&rabbit, "suspend").await;
    let each = entries(MESSAGES)
        .into_iter()
        .map(|it| broker.enqueue(vec![it]));
    let mut enqueuing = join_all(each);
    assert!(timeout(SOON, &mut enqueuing).await.is_err(), "they answer");
    for _ in 0..20 {
        let comes = live_comes(&broker, "b", &mut stream);
        timeout(SOON, comes).await.unwrap();
    }
    // Nor does a node that connects now.
    let other = RabbitBroker::connect(config).await.unwrap();
    let subscribed = timeout(CONNECTED, other.subscribe(NodeId::new("c"))).await;
    let mut stream = subscribed.unwrap().unwrap();
    let comes = live_comes(&other, "c", &mut stream);
    timeout(CONNECTED, comes).await.unwrap();

    to_queues(&rabbit, "resume").await;
    // What was given up meanwhile is handed over again.
    let enqueued = enqueuing.await;
    if enqueued.iter().any(Result::is_err) {
        broker.enqueue(entries(MESSAGES)).await.unwrap();
    }
    let mut written = BTreeSet::new();
    let mut stream = broker.consume(200).await.unwrap();
    while written.len() < MESSAGES as usize {
        let batch = stream.next().await.unwrap().unwrap();
        written.extend(positions(&batch));
        let done = batch.iter().map(|it| (it.tag, Verdict::Done));
        broker.settle(done.collect()).await.unwrap();
    }
}
