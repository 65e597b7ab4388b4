//! The bare program of `real-sends`: each message is appended by a script in Redis and then published
//! to one of as many quorum queues of RabbitMQ as ours has, persistent and confirmed. Both go in
//! batches of what waits: while one is under way the next one gathers, and the two steps run side by
//! side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use darda_core::adapter::encode_entry;
use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use futures::future::try_join_all;
use futures::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use redis::Script;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;

use super::namespace::persist_queues;
use super::{BackEnds, Namespace, connect};
use crate::{Result, stamp};

/// As many as a node of ours puts into one batch.
const BATCH: usize = 1_000;
/// Deliveries that are not acknowledged.
const PREFETCH: u16 = 2_000;
const PERSISTENT: u8 = 2;
const APPEND: &str = include_str!("append.lua");

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) conversations: usize,
    /// Messages under way in all.
    pub(crate) in_flight: usize,
    /// Bytes of a message's text.
    pub(crate) text: usize,
    /// Time of the measurement, after a quarter of it to warm up.
    pub(crate) time: Duration,
}

/// Whether somebody takes the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draining {
    /// They stay in queue and outbox.
    No,
    /// A consumer acknowledges them in batches and takes them out of the outbox. It stores nothing.
    Yes,
    /// It stores them before that: under their position, with a unique index of ids.
    Stored,
}

/// Confirmed messages a second.
pub(crate) async fn sends(back_ends: &BackEnds, load: Load, draining: Draining) -> Result<f64> {
    let namespace = Namespace::new(back_ends);
    let outcome = run(back_ends, namespace.name(), load, draining).await;
    // Its end blocks, which no task may.
    tokio::task::spawn_blocking(move || drop(namespace)).await?;
    outcome
}

async fn run(back_ends: &BackEnds, name: &str, load: Load, draining: Draining) -> Result<f64> {
    let rabbit = connect::rabbit(&back_ends.amqp).await?;
    let channel = rabbit.create_channel().await?;
    let queues: Vec<_> = persist_queues(name).collect();
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    for queue in &queues {
        channel
            .queue_declare(queue.as_str().into(), options, arguments.clone())
            .await?;
    }
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;

    let redis = connect::redis(&back_ends.redis).await?;
    let (freed, slots) = mpsc::channel(load.in_flight);
    let (appended, publish) = mpsc::channel(load.in_flight);
    for slot in 0..load.in_flight {
        freed.send(slot).await?;
    }
    let confirmed = Arc::new(AtomicU64::new(0));
    let appending = append(redis.clone(), name.to_owned(), load, slots, appended);
    let publishing = publish_all(channel, &queues, load, publish, freed, confirmed.clone());
    let drain = async {
        let entries = match draining {
            Draining::No => return std::future::pending().await,
            Draining::Yes => None,
            Draining::Stored => Some(entries(back_ends, name).await?),
        };
        let rabbit = connect::rabbit(&back_ends.amqp).await?;
        let drains = queues.iter().map(async |queue| {
            let channel = rabbit.create_channel().await?;
            drain(channel, queue, redis.clone(), name, entries.clone()).await
        });
        try_join_all(drains).await.map(drop)
    };
    // None of the three ends but by an error.
    tokio::select! {
        rate = measure(load.time, &confirmed) => Ok(rate),
        ended = appending => ended.and(Err("appending ended".into())),
        ended = publishing => ended.and(Err("publishing ended".into())),
        ended = drain => ended.and(Err("draining ended".into())),
    }
}

async fn measure(time: Duration, confirmed: &AtomicU64) -> f64 {
    tokio::time::sleep(time / 4).await;
    let (start, before) = (Instant::now(), confirmed.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let messages = confirmed.load(Ordering::Relaxed) - before;
    messages as f64 / start.elapsed().as_secs_f64()
}

/// A message with its position.
struct Positioned {
    slot: usize,
    position: u64,
    entry: Vec<u8>,
}

async fn append(
    mut redis: MultiplexedConnection,
    name: String,
    load: Load,
    mut slots: mpsc::Receiver<usize>,
    appended: mpsc::Sender<Positioned>,
) -> Result<()> {
    let script = Script::new(APPEND)
        .prepare_invoke()
        .load_async(&mut redis)
        .await?;
    let entry = sample(load.text)?;
    let keys: Vec<[String; 4]> = (0..load.conversations)
        .map(|number| ["log", "ids", "window", "outbox"].map(|key| self::key(&name, key, number)))
        .collect();
    let (mut batch, mut sent) = (Vec::new(), 0_u64);
    while slots.recv_many(&mut batch, BATCH).await > 0 {
        let mut pipe = redis::pipe();
        for &slot in &batch {
            sent += 1;
            // As long as an entry's id, and new.
            let mut id = [0; 16];
            id[..stamp::STAMP].copy_from_slice(&stamp::stamp(sent));
            pipe.cmd("EVALSHA").arg(&script).arg(4);
            for key in &keys[slot % load.conversations] {
                pipe.arg(key);
            }
            pipe.arg(&id).arg(&entry);
        }
        let answers: Vec<(u64, String)> = pipe.query_async(&mut redis).await?;
        for (slot, (position, _prev)) in batch.drain(..).zip(answers) {
            let entry = entry.clone();
            appended
                .send(Positioned {
                    slot,
                    position,
                    entry,
                })
                .await?;
        }
    }
    Ok(())
}

async fn publish_all(
    channel: Channel,
    queues: &[String],
    load: Load,
    mut publish: mpsc::Receiver<Positioned>,
    freed: mpsc::Sender<usize>,
    confirmed: Arc<AtomicU64>,
) -> Result<()> {
    let mut batch = Vec::new();
    while publish.recv_many(&mut batch, BATCH).await > 0 {
        let mut confirms = Vec::with_capacity(batch.len());
        for message in &batch {
            let conversation = message.slot % load.conversations;
            let queue = &queues[conversation % queues.len()];
            let properties = BasicProperties::default()
                .with_delivery_mode(PERSISTENT)
                .with_message_id(format!("{conversation}/{}", message.position).into());
            let options = BasicPublishOptions::default();
            let confirm = channel
                .basic_publish(
                    "".into(),
                    queue.as_str().into(),
                    options,
                    &message.entry,
                    properties,
                )
                .await?;
            confirms.push(confirm);
        }
        for confirmation in try_join_all(confirms).await? {
            if !confirmation.is_ack() {
                return Err("a publish was not confirmed".into());
            }
        }
        confirmed.fetch_add(batch.len() as u64, Ordering::Relaxed);
        for message in batch.drain(..) {
            freed.send(message.slot).await?;
        }
    }
    Ok(())
}

async fn drain(
    channel: Channel,
    queue: &str,
    mut redis: MultiplexedConnection,
    name: &str,
    entries: Option<Collection<Document>>,
) -> Result<()> {
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let mut deliveries = channel
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    while let Some(first) = deliveries.next().await {
        let mut last = first?;
        let mut pipe = redis::pipe();
        let mut stored = Vec::new();
        let mut taken = 0;
        loop {
            let id = last
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string);
            let id = id.unwrap_or_default();
            let (conversation, position) = id.split_once('/').ok_or("not a message of ours")?;
            let key = key(name, "outbox", conversation.parse()?);
            pipe.hdel(key, position).ignore();
            if entries.is_some() {
                stored.push(document(
                    conversation.parse()?,
                    position.parse()?,
                    &last.data,
                ));
            }
            taken += 1;
            if taken == BATCH {
                break;
            }
            match deliveries.next().now_or_never() {
                Some(Some(next)) => last = next?,
                _ => break,
            }
        }
        if let Some(entries) = &entries {
            entries.insert_many(stored).ordered(false).await?;
        }
        let () = pipe.query_async(&mut redis).await?;
        last.ack(BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}

/// Where entries are stored.
async fn entries(back_ends: &BackEnds, name: &str) -> Result<Collection<Document>> {
    let client = mongodb::Client::with_uri_str(&back_ends.mongo).await?;
    let entries = client.database(name).collection("entries");
    let unique = IndexOptions::builder().unique(true).build();
    let ids = IndexModel::builder().keys(doc! { "c": 1, "i": 1 });
    entries.create_index(ids.options(unique).build()).await?;
    Ok(entries)
}

fn document(conversation: u64, position: u64, entry: &[u8]) -> Document {
    let bytes = |bytes: &[u8]| Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    };
    // Long as ours: a conversation and an id of 16 bytes, a position of 8.
    let id = (u128::from(conversation) << 64 | u128::from(position)).to_be_bytes();
    let conversation = u128::from(conversation).to_be_bytes();
    doc! {
        "_id": bytes(&[&conversation[..], &position.to_be_bytes()].concat()),
        "c": bytes(&conversation),
        "i": bytes(&id),
        "e": bytes(entry),
    }
}

fn key(name: &str, key: &str, conversation: usize) -> String {
    format!("{name}:{{s{conversation}}}:{key}")
}

/// The bytes of an entry, as ours are.
fn sample(text: usize) -> Result<Vec<u8>> {
    let (sender, client_id) = (UserId::new("sender1")?, ClientId::new("00000001")?);
    let conversation = ConversationId::direct(&sender, &UserId::new("receiver1")?);
    let text = String::from_utf8(stamp::text(1, text))?;
    Ok(encode_entry(&Entry {
        conversation,
        position: Position(1_700_000_000_000_001),
        prev: Some(Position(1_700_000_000_000_000)),
        epoch: Epoch(0),
        id: EntryId::derive(conversation, &sender, &client_id),
        sender,
        client_id,
        body: text.as_str().into(),
        incarnation: 1_700_000_000_000_000,
        relocated: false,
    })?)
}
