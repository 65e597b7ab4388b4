//! A channel that RabbitMQ closes by itself: what it was for goes on, on a new connection.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

mod support;

use std::time::Duration;

use darda_core::model::NodeId;
use darda_core::ports::Broker;
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::StreamExt;
use lapin::options::ExchangeDeleteOptions;
use support::{joined, url};
use tokio::time::{sleep, timeout};

/// A connection is made anew within far less.
const AGAIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn live_events_go_on_after_their_exchange_was_deleted() {
    let Some(url) = url() else {
        return;
    };
    let prefix = format!("darda-test-closed-{}", std::process::id());
    let broker = RabbitBroker::connect(RabbitConfig::new(&url).with_prefix(&prefix))
        .await
        .unwrap();
    let publish = || broker.publish(vec![joined("b")]);
    publish().await.unwrap();

    let connection = lapin::Connection::connect(&url, Default::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let exchange = format!("{prefix}.live");
    channel
        .exchange_delete(exchange.into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();
    publish().await.unwrap_err();
    let goes_on = async {
        while publish().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(AGAIN, goes_on).await.unwrap();
    let mut stream = broker.subscribe(NodeId::new("b")).await.unwrap();
    publish().await.unwrap();
    let events = timeout(AGAIN, stream.next()).await.unwrap();
    assert_eq!(events.unwrap().unwrap().len(), 1);
}
