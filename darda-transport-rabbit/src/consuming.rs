//! A writer's stream of deliveries, and the verdicts on them.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use darda_core::Result;
use darda_core::adapter::decode_entry;
use darda_core::ports::{Delivery, DeliveryTag, Verdict};
use futures::future::try_join_all;
use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::connection::{Connection, Dialer};
use crate::error::{from_driver, unavailable};

/// A tag is the number of its lane and the server's number on that lane's channel.
const NUMBER_BITS: u32 = 40;
const NUMBERS: u64 = (1 << NUMBER_BITS) - 1;
/// Lanes that are told apart; those that were so many before are long gone.
const LANES: u64 = 1 << (u64::BITS - NUMBER_BITS);

/// The lanes that may be given verdicts.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<u64, Arc<Settling>>>,
    next: AtomicU64,
}

/// A lane: a channel that consumes one queue, with what is not settled on it.
///
/// Each queue has a channel of its own, since an acknowledgement of *all up to here* counts for a whole
/// channel: on a shared one it would take in what another queue's consumer holds and nobody has looked
/// at. Of one consumer everything up to a delivery that was seen was seen before it.
#[derive(Debug)]
struct Settling {
    channel: Channel,
    unsettled: Mutex<BTreeSet<u64>>,
}

impl Streams {
    /// Consumes all durable queues on a connection of its own: closed, it gives back what it holds.
    pub(crate) async fn open(
        self: Arc<Self>,
        dialer: &Dialer,
        max_batch: usize,
    ) -> Result<BoxStream<'static, Result<Vec<Delivery>>>> {
        let connection = dialer.dial("writer").await?;
        let queues = dialer.names().all_persist();
        let lanes = try_join_all(queues.map(|queue| self.lane(dialer, &connection, queue))).await?;
        let reading = Reading {
            dead: Box::pin(connection.dead().clone().cancelled_owned()),
            lanes: lanes.into_iter().collect(),
            _connection: connection,
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
        connection: &Connection,
        queue: String,
    ) -> Result<Lane> {
        let channel = connection.channel().await?;
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
            unsettled: Mutex::default(),
        });
        self.open.lock().insert(number, settling.clone());
        Ok(Lane {
            consumer,
            settling,
            number,
            streams: self.clone(),
        })
    }

    /// Passes verdicts on; tags of lanes that ended are ignored.
    pub(crate) async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        let mut by_lane: HashMap<u64, Vec<(u64, Verdict)>> = HashMap::new();
        for (DeliveryTag(tag), verdict) in verdicts {
            by_lane
                .entry(tag >> NUMBER_BITS)
                .or_default()
                .push((tag & NUMBERS, verdict));
        }
        for (lane, verdicts) in by_lane {
            let settling = self.open.lock().get(&lane).cloned();
            if let Some(settling) = settling {
                settling.settle(verdicts).await?;
            }
        }
        Ok(())
    }

    /// Deliveries that wait for a verdict here.
    pub(crate) fn unsettled(&self) -> usize {
        let open = self.open.lock();
        open.values().map(|lane| lane.unsettled.lock().len()).sum()
    }
}

impl Settling {
    /// A delivery counts as settled when its verdict is on its way, so that a call that is given up in the
    /// middle leaves the others as they are.
    async fn settle(&self, mut verdicts: Vec<(u64, Verdict)>) -> Result<()> {
        // A second verdict on one delivery would close the channel.
        {
            let unsettled = self.unsettled.lock();
            verdicts.retain(|(number, _)| unsettled.contains(number));
        }
        verdicts.sort_by_key(|(number, _)| *number);
        verdicts.dedup_by_key(|(number, _)| *number);
        if let Some(last) = self.all_done_up_to(&verdicts) {
            let options = BasicAckOptions { multiple: true };
            let acked = self.channel.basic_ack(last, options).await;
            acked.map_err(from_driver)?;
            let mut unsettled = self.unsettled.lock();
            *unsettled = unsettled.split_off(&(last + 1));
            verdicts.retain(|(number, _)| *number > last);
        }
        for (number, verdict) in verdicts {
            let settled = match verdict {
                Verdict::Done => {
                    let options = BasicAckOptions::default();
                    self.channel.basic_ack(number, options).await
                }
                Verdict::Again | Verdict::Dead => {
                    let options = BasicNackOptions {
                        multiple: false,
                        requeue: verdict == Verdict::Again,
                    };
                    self.channel.basic_nack(number, options).await
                }
            };
            settled.map_err(from_driver)?;
            self.unsettled.lock().remove(&number);
        }
        Ok(())
    }

    /// The last delivery before which nothing is unsettled that is not done by these verdicts, which are
    /// in order.
    fn all_done_up_to(&self, verdicts: &[(u64, Verdict)]) -> Option<u64> {
        let unsettled = self.unsettled.lock();
        let done = verdicts.iter().zip(unsettled.iter());
        let done = done
            .take_while(|((number, verdict), first)| number == *first && *verdict == Verdict::Done);
        done.last().map(|((number, _), _)| *number)
    }

    /// What cannot be read is no entry: it goes to the dead letters.
    async fn bury(&self, number: u64) -> Result<()> {
        self.settle(vec![(number, Verdict::Dead)]).await
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
        loop {
            let delivery = match ready!(self.consumer.poll_next_unpin(cx)) {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Poll::Ready(Some(Err(from_driver(error)))),
                None => return Poll::Ready(Some(Err(unavailable("rabbitmq ended a consumer")))),
            };
            let number = delivery.delivery_tag;
            self.settling.unsettled.lock().insert(number);
            match decode_entry(&delivery.data) {
                Ok(entry) => {
                    return Poll::Ready(Some(Ok(Delivery {
                        tag: DeliveryTag(self.number << NUMBER_BITS | number),
                        entry: Arc::new(entry),
                    })));
                }
                Err(error) => {
                    tracing::error!(%error, bytes = delivery.data.len(),
                        "a message is no entry and goes to the dead letters");
                    let settling = self.settling.clone();
                    tokio::spawn(async move { settling.bury(number).await });
                }
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
    _connection: Arc<Connection>,
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
