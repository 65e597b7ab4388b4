//! The network between RabbitMQ and a client drops everything, and only the heartbeats tell.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

mod support;

use std::time::Duration;

use darda_backends::{Passage, Proxy, Rabbit, RabbitOptions, or_skip};
use darda_core::ErrorKind;
use darda_core::ports::Broker;
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::StreamExt;
use support::{entries, positions};
use tokio::time::{sleep, timeout};

const HEARTBEAT: Duration = Duration::from_secs(2);
/// What a busy machine may add.
const BUSY: Duration = Duration::from_secs(4);

#[tokio::test]
async fn what_a_writer_holds_that_is_not_heard_goes_to_another() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default()).await) else {
        return;
    };
    let proxy = Proxy::start(rabbit.port()).await.unwrap();
    let config = |url| {
        RabbitConfig::new(url)
            .with_persist_queues(1)
            .with_heartbeat(HEARTBEAT)
            .with_connect_timeout(Duration::from_secs(15))
    };
    let through = config(proxy.instead_of(rabbit.port(), &rabbit.url()));
    let unheard = RabbitBroker::connect(through).await.unwrap();
    let mut held = unheard.consume(10).await.unwrap();
    unheard.enqueue(entries(3)).await.unwrap();
    assert_eq!(positions(&held.next().await.unwrap().unwrap()), [1, 2, 3]);

    let other = RabbitBroker::connect(config(rabbit.url())).await.unwrap();
    let mut given = other.consume(10).await.unwrap();
    let early = timeout(HEARTBEAT / 2, given.next()).await;
    assert!(early.is_err(), "one writer at a time");

    proxy.set(Passage::Swallowing);
    let taken_over = timeout(HEARTBEAT * 3 + BUSY, given.next()).await;
    let batch = taken_over.unwrap().unwrap().unwrap();
    assert_eq!(positions(&batch), [1, 2, 3]);
}

#[tokio::test]
async fn a_server_without_memory_that_is_not_heard_is_given_up() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default()).await) else {
        return;
    };
    let proxy = Proxy::start(rabbit.port()).await.unwrap();
    let config = RabbitConfig::new(proxy.instead_of(rabbit.port(), &rabbit.url()))
        .with_persist_queues(1)
        .with_heartbeat(HEARTBEAT);
    let broker = RabbitBroker::connect(config).await.unwrap();
    broker.enqueue(entries(1)).await.unwrap();
    rabbit.raise_memory_alarm().await.unwrap();
    let refused = async || broker.enqueue(entries(1)).await.unwrap_err().kind();
    assert_eq!(refused().await, ErrorKind::Busy);

    proxy.set(Passage::Swallowing);
    let given_up = async {
        while refused().await == ErrorKind::Busy {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(HEARTBEAT * 3 + BUSY, given_up).await.unwrap();
    assert_eq!(refused().await, ErrorKind::Unavailable);
}
