//! A writer's stream of deliveries, and the verdicts on them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use darda_core::Result;
use darda_core::adapter::encode_entry;
use darda_core::ports::{Delivery, DeliveryTag, Verdict};
use futures::future::try_join_all;
use futures::stream::{BoxStream, SelectAll};
use futures::task::AtomicWaker;
use futures::{Stream, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Consumer};
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::connection::{Connection, Dialer, PERSISTENT};
use crate::error::{from_driver, unavailable};
use crate::held::Held;
use crate::packing::{Average, alone};
use crate::topology::Purpose;

/// A tag is the number of its lane and the entry's number on that lane.
const NUMBER_BITS: u32 = 40;
const NUMBERS: u64 = (1 << NUMBER_BITS) - 1;
/// Lanes that are told apart; those that were so many before are long gone.
const LANES: u64 = 1 << (u64::BITS - NUMBER_BITS);

/// The lanes that may be given verdicts.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<u64, Arc<Settling>>>,
    next: AtomicU64,
    average: Average,
}

/// A lane: a channel that consumes one queue, with what is not settled on it.
///
/// Each queue has a channel of its own, since an acknowledgement of *all up to here* counts for a whole
/// channel: on a shared one it would take in what another queue's consumer holds and nobody has looked
/// at. Of one consumer everything up to a delivery that was seen was seen before it.
#[derive(Debug)]
struct Settling {
    channel: Channel,
    connection: Arc<Connection>,
    dialer: Dialer,
    held: Mutex<Held>,
    /// Held while messages are acknowledged: the server closes the channel of who does it twice.
    acknowledging: tokio::sync::Mutex<()>,
    /// Who waits for entries that are to be delivered again.
    reader: AtomicWaker,
}

impl Streams {
    /// Consumes all durable queues on a connection of its own: closed, it gives back what it holds.
    pub(crate) async fn open(
        self: Arc<Self>,
        dialer: &Dialer,
        max_batch: usize,
    ) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        let connection = dialer.dial(Purpose::Writer).await?;
        let queues = dialer.names().all_persist();
        let lanes = try_join_all(queues.map(|queue| self.lane(dialer, &connection, queue))).await?;
        let reading = Reading {
            dead: Box::pin(connection.dead().clone().cancelled_owned()),
            lanes: lanes.into_iter().collect(),
            ended: false,
        };
        Ok(reading
            .ready_chunks(max_batch.max(1))
            .map(|batch| batch.into_iter().collect())
            .boxed())
    }

    async fn lane(
        self: &Arc<Self>,
        dialer: &Dialer,
        connection: &Arc<Connection>,
        queue: String,
    ) -> Result<Lane> {
        let channel = connection.channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(from_driver)?;
        channel
            .basic_qos(dialer.config().prefetch, BasicQosOptions::default())
            .await
            .map_err(from_driver)?;
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
            .map_err(from_driver)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed) % LANES;
        let settling = Arc::new(Settling {
            channel,
            connection: connection.clone(),
            dialer: dialer.clone(),
            held: Mutex::default(),
            acknowledging: tokio::sync::Mutex::default(),
            reader: AtomicWaker::new(),
        });
        self.open.lock().insert(number, settling.clone());
        Ok(Lane {
            consumer,
            settling,
            number,
            streams: self.clone(),
        })
    }

    /// Passes verdicts on, those of each lane whatever becomes of others'; tags of lanes that ended are
    /// ignored. Returns the first error.
    pub(crate) async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        let mut by_lane: HashMap<u64, Vec<(u64, Verdict)>> = HashMap::new();
        for (DeliveryTag(tag), verdict) in verdicts {
            by_lane
                .entry(tag >> NUMBER_BITS)
                .or_default()
                .push((tag & NUMBERS, verdict));
        }
        let mut outcome = Ok(());
        for (lane, verdicts) in by_lane {
            let settling = self.open.lock().get(&lane).cloned();
            if let Some(settling) = settling {
                outcome = outcome.and(settling.settle(verdicts).await);
            }
        }
        outcome
    }

    /// Deliveries that wait for a verdict here.
    pub(crate) fn unsettled(&self) -> usize {
        let open = self.open.lock();
        open.values().map(|lane| lane.held.lock().unsettled()).sum()
    }

    /// Of durable messages, published and delivered.
    pub(crate) fn average(&self) -> &Average {
        &self.average
    }
}

impl Settling {
    /// Given up in the middle it leaves what is not done yet to the next call.
    async fn settle(&self, verdicts: Vec<(u64, Verdict)>) -> Result<()> {
        let (mut dead, mut again) = (Vec::new(), Vec::new());
        {
            let mut held = self.held.lock();
            for (number, verdict) in verdicts {
                let Some(entry) = held.entry(number) else {
                    continue;
                };
                match verdict {
                    Verdict::Done => held.settled(number),
                    Verdict::Again => again.push(number),
                    Verdict::Dead => dead.push((number, encode_entry(entry)?)),
                }
            }
        }
        let buried = self.bury(dead).await;
        self.acknowledge().await?;
        buried?;
        // Last, so that a call that failed can be repeated.
        self.held.lock().deliver_again(again);
        self.reader.wake();
        Ok(())
    }

    /// Puts what can never be stored where an operator finds it.
    async fn bury(&self, dead: Vec<(u64, Vec<u8>)>) -> Result<()> {
        if dead.is_empty() {
            return Ok(());
        }
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let mut confirms = Vec::with_capacity(dead.len());
        for (_, bytes) in &dead {
            let exchange = self.dialer.names().dead().into();
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let published = self
                .channel
                .basic_publish(exchange, "".into(), options, &alone(bytes), properties)
                .await;
            confirms.push(published.map_err(from_driver)?);
        }
        let patience = self.dialer.config().confirm_timeout;
        self.connection.confirmed(confirms, patience).await?;
        let mut held = self.held.lock();
        for (number, _) in dead {
            held.settled(number);
        }
        Ok(())
    }

    /// Acknowledges messages of which everything is settled.
    async fn acknowledge(&self) -> Result<()> {
        let _guard = self.acknowledging.lock().await;
        let (up_to, others) = {
            let held = self.held.lock();
            (held.all_settled_up_to(), held.settled_beyond())
        };
        if let Some(last) = up_to {
            let options = BasicAckOptions { multiple: true };
            let acked = self.channel.basic_ack(last, options).await;
            acked.map_err(from_driver)?;
            self.held.lock().forget_up_to(last);
        }
        for delivery in others {
            let options = BasicAckOptions::default();
            let acked = self.channel.basic_ack(delivery, options).await;
            acked.map_err(from_driver)?;
            self.held.lock().forget(delivery);
        }
        Ok(())
    }

    async fn bury_unreadable(&self, number: u64, bytes: Vec<u8>) {
        let buried = self.bury(vec![(number, bytes)]).await;
        if let Err(error) = buried.and(self.acknowledge().await) {
            // It comes again with the next stream.
            tracing::debug!(%error, "what is no entry is not among the dead letters yet");
        }
    }
}

/// One queue's deliveries.
struct Lane {
    consumer: Consumer,
    settling: Arc<Settling>,
    number: u64,
    streams: Arc<Streams>,
}

impl Stream for Lane {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.settling.reader.register(cx.waker());
        loop {
            let next = self.settling.held.lock().next();
            if let Some((number, entry)) = next {
                return Poll::Ready(Some(Ok(Delivery {
                    tag: DeliveryTag(self.number << NUMBER_BITS | number),
                    entry,
                })));
            }
            let delivery = match ready!(self.consumer.poll_next_unpin(cx)) {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Poll::Ready(Some(Err(from_driver(error)))),
                None => return Poll::Ready(Some(Err(unavailable("rabbitmq ended a consumer")))),
            };
            let mut held = self.settling.held.lock();
            let taken = held.take(delivery.delivery_tag, &delivery.data);
            drop(held);
            self.streams.average.count(taken.entries);
            for (number, bytes) in taken.unreadable {
                tracing::error!(
                    bytes = bytes.len(),
                    "what is no entry goes to the dead letters"
                );
                let settling = self.settling.clone();
                tokio::spawn(async move { settling.bury_unreadable(number, bytes).await });
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.streams.open.lock().remove(&self.number);
    }
}

/// All lanes; it ends with the connection, or with the first of them.
struct Reading {
    lanes: SelectAll<Lane>,
    dead: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl Stream for Reading {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended || self.dead.as_mut().poll(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        let next = ready!(self.lanes.poll_next_unpin(cx));
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}
