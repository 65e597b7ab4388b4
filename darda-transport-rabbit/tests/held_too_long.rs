//! RabbitMQ takes back what a consumer holds for too long (30 minutes, as it comes): through a long outage
//! of the store the writer holds what is to be done again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::time::Duration;

use darda_backends::{Rabbit, RabbitOptions, or_skip};
use darda_core::ports::{Broker, Verdict};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::StreamExt;
use support::{entries, positions};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn what_is_taken_back_comes_again_with_the_next_stream() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default()).await) else {
        return;
    };
    let short = "application:set_env(rabbit, consumer_timeout, 3000).";
    rabbit.control(&["eval", short]).await.unwrap();
    let config = RabbitConfig::new(rabbit.url())
        .with_persist_queues(1)
        .with_connect_timeout(Duration::from_secs(15));
    let broker = RabbitBroker::connect(config).await.unwrap();
    broker.enqueue(entries(3)).await.unwrap();

    let mut stream = broker.consume(10).await.unwrap();
    let ends = async {
        while let Some(Ok(batch)) = stream.next().await {
            assert_eq!(positions(&batch), [1, 2, 3]);
            sleep(Duration::from_millis(200)).await;
            let again = batch.iter().map(|it| (it.tag, Verdict::Again));
            // Its stream may be gone by now.
            let _ = broker.settle(again.collect()).await;
        }
    };
    let ended = timeout(Duration::from_secs(90), ends).await;
    ended.unwrap_or_else(|_| panic!("RabbitMQ takes nothing back"));
    drop(stream);

    let mut stream = broker.consume(10).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    assert_eq!(positions(&batch), [1, 2, 3]);
    let done = batch.iter().map(|it| (it.tag, Verdict::Done));
    broker.settle(done.collect()).await.unwrap();
    assert_eq!(broker.backlog().await.unwrap(), 0);
}
