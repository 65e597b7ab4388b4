//! What can never be stored: it goes to the dead letters by itself, whatever came in the same message.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::time::Duration;

use darda_backends::{StartError, or_skip};
use darda_core::adapter::{decode_entry, encode_entry};
use darda_core::ports::{Broker, Verdict};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::StreamExt;
use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::{BasicProperties, Channel};
use support::{entries, positions};

const VARIABLE: &str = "DARDA_TEST_AMQP_URL";

struct Fixture {
    broker: RabbitBroker,
    prefix: String,
    channel: Channel,
    _connection: lapin::Connection,
}

impl Fixture {
    /// `None` where there is no server, said loudly.
    async fn new(name: &str) -> Option<Self> {
        let missing =
            || StartError::Missing(format!("{VARIABLE} is not set; `make test` starts one"));
        let url = or_skip(std::env::var(VARIABLE).map_err(|_| missing()))?;
        let prefix = format!("darda-test-{name}-{}", std::process::id());
        let config = RabbitConfig::new(&url)
            .with_prefix(&prefix)
            .with_persist_queues(1);
        let broker = RabbitBroker::connect(config).await.unwrap();
        broker.backlog().await.unwrap();
        let connection = lapin::Connection::connect(&url, Default::default())
            .await
            .unwrap();
        Some(Self {
            broker,
            prefix,
            channel: connection.create_channel().await.unwrap(),
            _connection: connection,
        })
    }

    /// The next dead letter's bytes.
    async fn dead(&self) -> Vec<u8> {
        for _ in 0..100 {
            let queue = format!("{}.dead", self.prefix);
            let options = BasicGetOptions { no_ack: true };
            let got = self.channel.basic_get(queue.into(), options).await.unwrap();
            if let Some(letter) = got {
                return letter.delivery.data;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing among the dead letters");
    }
}

/// A message of these items, each behind its length.
fn message(items: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::new();
    for item in items {
        message.extend((item.len() as u32).to_be_bytes());
        message.extend(*item);
    }
    message
}

#[tokio::test]
async fn one_of_many_goes_alone() {
    let Some(fixture) = Fixture::new("dead").await else {
        return;
    };
    let entries = entries(3);
    fixture.broker.enqueue(entries.clone()).await.unwrap();
    let mut stream = fixture.broker.consume(10).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    assert_eq!(positions(&batch), [1, 2, 3], "they did not share a message");
    let verdict = |at: usize, verdict| vec![(batch[at].tag, verdict)];
    fixture
        .broker
        .settle(verdict(1, Verdict::Dead))
        .await
        .unwrap();
    let letter = fixture.dead().await;
    assert_eq!(decode_entry(&letter[4..]).unwrap(), *entries[1]);

    // It stays there when the others come again with another stream.
    fixture
        .broker
        .settle(verdict(0, Verdict::Done))
        .await
        .unwrap();
    fixture
        .broker
        .settle(verdict(2, Verdict::Done))
        .await
        .unwrap();
    drop(stream);
    let mut stream = fixture.broker.consume(10).await.unwrap();
    fixture.broker.enqueue(entries[..1].to_vec()).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    assert_eq!(positions(&batch), [1]);
}

#[tokio::test]
async fn what_is_no_entry_does_not_take_others_with_it() {
    let Some(fixture) = Fixture::new("unreadable").await else {
        return;
    };
    let entries = entries(2);
    let [first, second] = [0, 1].map(|at| encode_entry(&entries[at]).unwrap());
    let mut mixed = message(&[&first, b"garbage", &second]);
    mixed.extend(b"cut");
    for bytes in [&mixed[..], b"", b"neither"] {
        let queue = format!("{}.persist.0", fixture.prefix);
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let published = fixture
            .channel
            .basic_publish("".into(), queue.into(), options, bytes, properties)
            .await;
        published.unwrap();
    }
    let mut stream = fixture.broker.consume(10).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    assert_eq!(positions(&batch), [1, 2]);
    let mut letters = Vec::new();
    for _ in 0..4 {
        // The stream is read on, as a writer does.
        tokio::select! {
            letter = fixture.dead() => letters.push(letter),
            batch = stream.next() => panic!("{batch:?}"),
        }
    }
    letters.sort();
    let mut expected = [&b"garbage"[..], b"cut", b"", b"neither"].map(|item| message(&[item]));
    expected.sort();
    assert_eq!(letters, expected);
    let verdicts = batch.iter().map(|it| (it.tag, Verdict::Done));
    fixture.broker.settle(verdicts.collect()).await.unwrap();
    assert_eq!(fixture.broker.backlog().await.unwrap(), 0);
}
