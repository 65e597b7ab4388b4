//! What each real server carries by itself: the ports of the adapters without an engine, one call after
//! another kind of call. Multiplied with the calls of a send, which `make scale` counts, it says what
//! breaks first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::model::{
    ClientId, ConversationId, Entry, EntryId, Epoch, Message, NodeId, Position, SessionId, UserId,
};
use darda_core::ports::{
    Admission, Append, Appended, Audience, Broker, Cache, EventBody, LiveEvent, Publication, Range,
    Route, SessionRegistry, Store, Verdict,
};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use futures::{StreamExt, TryStreamExt, stream};

use crate::bench::Size;
use crate::process::Kind;
use crate::real::{self, BackEnds, Namespace};
use crate::report::{Rounds, Table};
use crate::{Result, stamp};

/// Calls under way, as those of many sessions are.
const IN_FLIGHT: usize = 64;
/// Batches under way: a node has one, and there are some nodes.
const BATCHES: usize = 4;
/// Conversations that are written to.
const CONVERSATIONS: u64 = 1_000;
/// Entries of a writer's batch.
const WRITTEN: usize = 1_000;
/// Nodes of the larger fleet.
const NODES: u64 = 1_000;
/// Users with sessions.
const USERS: u64 = 10_000;
/// Users with conversations, and how many each has.
const ACQUAINTED: u64 = 200;
const EACH: u64 = 10;
/// No lease may run out meanwhile.
const LEASE: Duration = Duration::from_secs(3_600);
/// No queue may be full.
const QUEUE: u32 = 10_000_000;

pub(crate) fn run(size: &Size) -> Result<()> {
    if !size.kinds.contains(&Kind::Darda) {
        return Ok(());
    }
    let Some(back_ends) = BackEnds::find("real-ports")? else {
        return Ok(());
    };
    let runtime = real::runtime()?;
    let mut figures = Figures::default();
    for _ in 0..size.rounds {
        let namespace = Namespace::new(&back_ends);
        let name = namespace.name();
        figures.begin();
        runtime.block_on(async {
            redis(&back_ends, name, size, &mut figures).await?;
            rabbit(&back_ends, name, size, &mut figures).await?;
            mongo(&back_ends, name, size, &mut figures).await
        })?;
    }
    figures.print(size);
    Ok(())
}

/// Figures in the order in which they are measured, each with a value a round.
#[derive(Default)]
struct Figures {
    rows: Vec<(String, &'static str, Rounds)>,
    next: usize,
}

impl Figures {
    fn begin(&mut self) {
        self.next = 0;
    }

    fn put(&mut self, what: impl Into<String>, of: &'static str, rate: f64) {
        if self.next == self.rows.len() {
            self.rows.push((what.into(), of, Rounds::default()));
        }
        self.rows[self.next].2.push(rate / 1e3);
        self.next += 1;
    }

    fn print(self, size: &Size) {
        let title = format!(
            "real servers: ports by themselves, entries of {} B",
            size.text
        );
        let mut table = Table::new(title, &["call", "thousand/s", "of"]);
        for (what, of, rate) in self.rows {
            table.row([what, rate.show(2), of.into()]);
        }
        table.print();
    }
}

/// How many things a second calls do, so many of them under way. A call says how many it did.
async fn rate<F: Future<Output = Result<usize>>>(
    time: Duration,
    in_flight: usize,
    call: impl FnMut(u64) -> F,
) -> Result<f64> {
    let calls = stream::iter(0_u64..).map(call);
    let mut calls = calls.buffer_unordered(in_flight);
    let warm = Instant::now() + time / 4;
    let mut done = 0;
    while let Some(things) = calls.next().await {
        let things = things?;
        let now = Instant::now();
        if now >= warm + time {
            break;
        }
        if now >= warm {
            done += things;
        }
    }
    Ok(done as f64 / time.as_secs_f64())
}

fn user(number: u64) -> Result<UserId> {
    Ok(UserId::new(format!("user-{number}"))?)
}

/// Conversations spread over all shards: their first byte is the shard.
fn conversation(number: u64) -> ConversationId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ConversationId::from_bytes(bytes)
}

fn append(number: u64, text: usize) -> Result<Append> {
    let conversation = conversation(number % CONVERSATIONS);
    let sender = user(number % USERS)?;
    let client_id = ClientId::new(number.to_string())?;
    let text = String::from_utf8(stamp::text(number, text))?;
    Ok(Append {
        conversation,
        id: EntryId::derive(conversation, &sender, &client_id),
        sender,
        client_id,
        body: Message::text(text).into(),
        admission: Admission::Checked {
            epoch: Epoch(0),
            fresh: true,
        },
    })
}

/// An entry as a cache makes it.
fn entry(number: u64, text: usize) -> Result<Arc<Entry>> {
    let append = append(number, text)?;
    Ok(Arc::new(Entry {
        conversation: append.conversation,
        position: Position(1_600_000_000_000_000 + number),
        prev: None,
        epoch: Epoch(0),
        id: append.id,
        sender: append.sender,
        client_id: append.client_id,
        body: append.body,
        incarnation: 1,
        relocated: false,
    }))
}

fn entries(batch: u64, count: usize, text: usize) -> Result<Vec<Arc<Entry>>> {
    let first = batch * count as u64;
    (first..first + count as u64)
        .map(|number| entry(number, text))
        .collect()
}

async fn redis(back_ends: &BackEnds, name: &str, size: &Size, figures: &mut Figures) -> Result<()> {
    let config = RedisConfig::new(&back_ends.redis)
        .with_prefix(format!("{name}:"))
        .with_lease(LEASE);
    let ports = RedisPorts::connect(config).await?;
    let (cache, registry) = (ports.cache(), ports.registry());

    let made = &cache;
    let (give, given) = std::sync::mpsc::channel();
    let appends = rate(size.time, IN_FLIGHT, |number| {
        let give = give.clone();
        async move {
            if let Appended::New(entry) = made.append(append(number, size.text)?).await? {
                give.send(entry)?;
            }
            Ok(1)
        }
    });
    figures.put("cache.append", "entries", appends.await?);
    let appended: Vec<_> = given.try_iter().collect();
    let start = Instant::now();
    stream::iter(appended.chunks(WRITTEN))
        .map(|batch| cache.settle(batch.to_vec()))
        .buffer_unordered(BATCHES)
        .try_collect::<Vec<_>>()
        .await?;
    let settled = appended.len() as f64 / start.elapsed().as_secs_f64();
    figures.put("cache.settle, 1,000 at once", "entries", settled);
    let heads = rate(size.time, IN_FLIGHT, |number| {
        let ids = (0..EACH).map(|other| conversation((number + other * 97) % CONVERSATIONS));
        let asked = cache.heads(ids.collect());
        async move { Ok(asked.await.map(|_| 1)?) }
    });
    figures.put("cache.heads of 10", "calls", heads.await?);

    for nodes in [1, NODES] {
        let node = |number: u64| NodeId::new(format!("of-{nodes}-{}", number % nodes));
        let session = |number: u64| {
            let node = node(number);
            Result::Ok((user(number)?, SessionId { node, number }))
        };
        stream::iter(0..USERS)
            .map(|number| {
                let registry = &registry;
                async move {
                    registry
                        .register(node(number), vec![session(number)?])
                        .await?;
                    Result::Ok(())
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<_>>()
            .await?;
        let looked_up = rate(size.time, IN_FLIGHT, |number| {
            let registry = &registry;
            async move {
                let (a, b) = (number * 7_919 % USERS, number * 104_729 % USERS);
                registry.nodes_of(vec![user(a)?, user(b)?]).await?;
                Ok(1)
            }
        });
        let looked_up = looked_up.await?;
        figures.put(
            format!("registry.nodes_of two users, {nodes} nodes"),
            "calls",
            looked_up,
        );
        let registered = rate(size.time, IN_FLIGHT, |number| {
            let registry = &registry;
            async move {
                let number = number % USERS;
                registry
                    .register(node(number), vec![session(number)?])
                    .await?;
                Ok(1)
            }
        });
        let registered = registered.await?;
        figures.put(
            format!("registry.register, {nodes} nodes"),
            "calls",
            registered,
        );
        for number in 0..nodes {
            registry.remove_node(node(number)).await?;
        }
    }
    ports.close().await;
    Ok(())
}

async fn rabbit(
    back_ends: &BackEnds,
    name: &str,
    size: &Size,
    figures: &mut Figures,
) -> Result<()> {
    let config = RabbitConfig::new(&back_ends.amqp)
        .with_prefix(name)
        .with_persist_queues(1)
        .with_persist_limit(QUEUE);
    let broker = Arc::new(RabbitBroker::connect(config).await?);
    let writer = broker.clone();
    let writing = tokio::spawn(async move {
        let mut deliveries = writer.consume(WRITTEN).await?;
        while let Some(batch) = deliveries.next().await {
            let verdicts = batch?.into_iter().map(|one| (one.tag, Verdict::Done));
            writer.settle(verdicts.collect()).await?;
        }
        Result::Ok(())
    });
    for batch in [1, 100, WRITTEN] {
        let in_flight = if batch == 1 { IN_FLIGHT } else { BATCHES };
        let broker = &broker;
        let kept = rate(size.time, in_flight, |number| async move {
            broker.enqueue(entries(number, batch, size.text)?).await?;
            Ok(batch)
        });
        let what = format!("broker.enqueue, {batch} at once, one queue");
        figures.put(what, "entries, consumed", kept.await?);
    }
    writing.abort();

    let received = Arc::new(AtomicU64::new(0));
    let mut receiving = Vec::new();
    for nodes in [1, 10, 100] {
        while receiving.len() < nodes {
            let node = NodeId::new(format!("node-{}", receiving.len()));
            let mut events = broker.subscribe(node).await?;
            let received = received.clone();
            receiving.push(tokio::spawn(async move {
                while let Some(Ok(batch)) = events.next().await {
                    received.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
            }));
        }
        for all in [false, true] {
            if nodes == 1 && all {
                continue;
            }
            let route = if all {
                Route::AllBut(NodeId::new("sender"))
            } else {
                let node = |number| NodeId::new(format!("node-{number}"));
                Route::Nodes((0..nodes).map(node).collect())
            };
            let (before, start) = (received.load(Ordering::Relaxed), Instant::now());
            let (broker, route) = (&broker, &route);
            rate(size.time, BATCHES, |number| async move {
                broker
                    .publish(vec![publication(number, route, size.text)?])
                    .await?;
                Ok(1)
            })
            .await?;
            let copies = received.load(Ordering::Relaxed) - before;
            let to = if all { "all of" } else { "by name to" };
            figures.put(
                format!("broker.publish {to} {nodes} nodes"),
                "copies received",
                copies as f64 / start.elapsed().as_secs_f64(),
            );
        }
    }
    receiving.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

fn publication(number: u64, route: &Route, text: usize) -> Result<Publication> {
    let entry = entry(number, text)?;
    let audience = Audience::Members {
        conversation: entry.conversation,
        epoch: entry.epoch,
    };
    Ok(Publication {
        route: route.clone(),
        event: LiveEvent {
            audience,
            origin: None,
            event: EventBody::Entry(entry).into(),
        },
    })
}

async fn mongo(back_ends: &BackEnds, name: &str, size: &Size, figures: &mut Figures) -> Result<()> {
    let store = &real::store(back_ends, name).await?;
    store.ready().await?;
    let inserted = rate(size.time, BATCHES, |number| async move {
        store.insert(entries(number, WRITTEN, size.text)?).await?;
        Ok(WRITTEN)
    });
    figures.put("store.insert, 1,000 at once", "entries", inserted.await?);
    let pages = rate(size.time, IN_FLIGHT, |number| async move {
        let conversation = conversation(number % CONVERSATIONS);
        store.page(conversation, Range::NEWEST, 50).await?;
        Ok(1)
    });
    figures.put("store.page, newest 50", "calls", pages.await?);
    stream::iter(0..ACQUAINTED * EACH / 2)
        .map(|number| async move {
            let (one, nth) = (number / (EACH / 2), number % (EACH / 2) + 1);
            let other = (one + nth * 13) % ACQUAINTED;
            store.open_direct(user(one)?, user(other)?).await?;
            Result::Ok(())
        })
        .buffer_unordered(BATCHES)
        .try_collect::<Vec<_>>()
        .await?;
    let memberships = rate(size.time, IN_FLIGHT, |number| async move {
        store.memberships(user(number % ACQUAINTED)?).await?;
        Ok(1)
    });
    figures.put("store.memberships of 10", "calls", memberships.await?);
    Ok(())
}
