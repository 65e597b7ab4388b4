//! What can never be stored: it goes to the dead letters by itself, whatever came in the same message.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use darda_core::adapter::{decode_entry, encode_entry};
use darda_core::model::{ConversationId, Entry};
use darda_core::ports::{Broker, Delivery, Verdict};
use darda_core::{ErrorKind, Result};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::StreamExt;
use futures::stream::BoxStream;
use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::{BasicProperties, Channel};
use support::{entries, positions};
use tokio::time::timeout;

const QUEUES: u16 = 8;
/// More than a test has that is not about it.
const LIMIT: u32 = 10;
/// A stream that brings nothing for so long has brought all.
const QUIET: Duration = Duration::from_secs(1);

type Stream = BoxStream<'static, Result<Vec<Delivery>>>;

struct Fixture {
    broker: RabbitBroker,
    prefix: String,
    channel: Channel,
    _connection: lapin::Connection,
}

impl Fixture {
    /// `None` where there is no server, said loudly.
    async fn new(name: &str) -> Option<Self> {
        let url = support::url()?;
        let prefix = format!("darda-test-{name}-{}", std::process::id());
        let config = RabbitConfig::new(&url)
            .with_prefix(&prefix)
            .with_persist_queues(QUEUES)
            .with_dead_limit(LIMIT);
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
            if let Some(letter) = self.dead_now().await {
                return letter;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing among the dead letters");
    }

    async fn dead_now(&self) -> Option<Vec<u8>> {
        let queue = format!("{}.dead", self.prefix);
        let options = BasicGetOptions { no_ack: true };
        let got = self.channel.basic_get(queue.into(), options).await;
        got.unwrap().map(|letter| letter.delivery.data)
    }

    /// All that a new stream brings.
    async fn waiting(&self) -> (Stream, Vec<Delivery>) {
        let mut stream = self.broker.consume(100).await.unwrap();
        let mut all = Vec::new();
        while let Ok(batch) = timeout(QUIET, stream.next()).await {
            all.extend(batch.unwrap().unwrap());
        }
        (stream, all)
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

/// Settling says so, what waits beside them is settled, and they are kept until there is room.
#[tokio::test]
async fn more_dead_letters_than_are_kept_stay_where_they_were() {
    let Some(fixture) = Fixture::new("full").await else {
        return;
    };
    let broker = &fixture.broker;
    // Some of each queue, and far more than the limit of one.
    let mut sent = Vec::new();
    for conversation in 0..4 * LIMIT {
        let conversation = ConversationId::from_bytes([conversation as u8; 16]);
        for entry in entries(2) {
            let entry = Entry {
                conversation,
                ..(*entry).clone()
            };
            broker.enqueue(vec![entry.into()]).await.unwrap();
            sent.push(conversation);
        }
    }
    let (stream, all) = fixture.waiting().await;
    assert_eq!(all.len(), sent.len());
    let position = |it: &Delivery| it.entry.position.0;
    let verdict = |it: &Delivery| match position(it) {
        1 => Verdict::Dead,
        _ => Verdict::Done,
    };
    let verdicts = all.iter().map(|it| (it.tag, verdict(it)));
    let error = broker.settle(verdicts.collect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(stream);

    // Only the dead are left.
    let mut letters = Vec::new();
    while let Some(letter) = fixture.dead_now().await {
        letters.push(decode_entry(&letter[4..]).unwrap());
    }
    assert!(letters.len() >= LIMIT as usize, "{}", letters.len());
    assert!(letters.len() < sent.len() / 2, "none was refused");
    let (_stream, left) = fixture.waiting().await;
    assert!(!left.is_empty());
    assert!(left.iter().all(|it| position(it) == 1));
    // There is room again, for some at a time.
    for some in left.chunks(LIMIT as usize) {
        let verdicts = some.iter().map(|it| (it.tag, Verdict::Dead));
        broker.settle(verdicts.collect()).await.unwrap();
        while let Some(letter) = fixture.dead_now().await {
            letters.push(decode_entry(&letter[4..]).unwrap());
        }
    }
    assert_eq!(broker.backlog().await.unwrap(), 0);
    let dead: BTreeSet<_> = letters.iter().map(|it| it.conversation).collect();
    assert_eq!(dead, sent.into_iter().collect());
    assert!(letters.iter().all(|it| it.position.0 == 1));
}
