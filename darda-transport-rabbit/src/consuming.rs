//! A writer's stream of deliveries, and the verdicts on them.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use darda_core::Result;
use darda_core::adapter::decode_entry;
use darda_core::ports::{Delivery, DeliveryTag, Verdict};
use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::connection::{Connection, Dialer};
use crate::error::from_driver;

/// A tag is the number of its stream and the server's number on that stream's channel.
const NUMBER_BITS: u32 = 44;
const NUMBERS: u64 = (1 << NUMBER_BITS) - 1;

/// The streams that may be given verdicts.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<u64, Arc<Settling>>>,
    next: std::sync::atomic::AtomicU64,
}

/// A stream's channel with what is not settled on it.
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
        let channel = connection.channel().await?;
        channel
            .basic_qos(dialer.config().prefetch, BasicQosOptions::default())
            .await
            .map_err(from_driver)?;
        let mut consumers = SelectAll::new();
        for queue in dialer.names().all_persist() {
            let options = BasicConsumeOptions::default();
            let consumer = channel
                .basic_consume(queue.into(), "".into(), options, FieldTable::default())
                .await
                .map_err(from_driver)?;
            consumers.push(consumer);
        }
        let number = 1 + self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let settling = Arc::new(Settling {
            channel,
            unsettled: Mutex::default(),
        });
        self.open.lock().insert(number, settling.clone());
        let reading = Reading {
            dead: Box::pin(connection.dead().clone().cancelled_owned()),
            consumers,
            settling,
            stream: number,
            streams: self,
            _connection: connection,
            ended: false,
        };
        Ok(reading
            .ready_chunks(max_batch.max(1))
            .map(|batch| batch.into_iter().collect())
            .boxed())
    }

    /// Passes verdicts on; tags of streams that ended are ignored.
    pub(crate) async fn settle(&self, verdicts: Vec<(DeliveryTag, Verdict)>) -> Result<()> {
        let mut by_stream: HashMap<u64, Vec<(u64, Verdict)>> = HashMap::new();
        for (DeliveryTag(tag), verdict) in verdicts {
            by_stream
                .entry(tag >> NUMBER_BITS)
                .or_default()
                .push((tag & NUMBERS, verdict));
        }
        for (stream, verdicts) in by_stream {
            let settling = self.open.lock().get(&stream).cloned();
            if let Some(settling) = settling {
                settling.settle(verdicts).await?;
            }
        }
        Ok(())
    }

    /// Deliveries that wait for a verdict here.
    pub(crate) fn unsettled(&self) -> usize {
        let open = self.open.lock();
        open.values()
            .map(|stream| stream.unsettled.lock().len())
            .sum()
    }
}

impl Settling {
    async fn settle(&self, verdicts: Vec<(u64, Verdict)>) -> Result<()> {
        let (mut done, mut back) = (Vec::new(), Vec::new());
        let first_left = {
            let mut unsettled = self.unsettled.lock();
            for (number, verdict) in verdicts {
                // A second verdict on one delivery would close the channel.
                if unsettled.remove(&number) {
                    match verdict {
                        Verdict::Done => done.push(number),
                        Verdict::Again => back.push((number, true)),
                        Verdict::Dead => back.push((number, false)),
                    }
                }
            }
            let returned = back.iter().map(|(number, _)| *number).min();
            let left = unsettled.first().copied();
            left.into_iter().chain(returned).min().unwrap_or(u64::MAX)
        };
        // All up to the last one before whatever is not done: one frame.
        let together = done
            .iter()
            .copied()
            .filter(|number| *number < first_left)
            .max();
        if let Some(last) = together {
            let options = BasicAckOptions { multiple: true };
            self.channel
                .basic_ack(last, options)
                .await
                .map_err(from_driver)?;
        }
        for number in done.into_iter().filter(|number| *number > first_left) {
            let options = BasicAckOptions::default();
            self.channel
                .basic_ack(number, options)
                .await
                .map_err(from_driver)?;
        }
        for (number, requeue) in back {
            let options = BasicNackOptions {
                multiple: false,
                requeue,
            };
            self.channel
                .basic_nack(number, options)
                .await
                .map_err(from_driver)?;
        }
        Ok(())
    }

    /// What cannot be read is no entry: it goes to the dead letters.
    async fn bury(&self, number: u64) -> Result<()> {
        self.settle(vec![(number, Verdict::Dead)]).await
    }
}

/// Single deliveries; it ends with the connection.
struct Reading {
    consumers: SelectAll<Consumer>,
    dead: Pin<Box<WaitForCancellationFutureOwned>>,
    settling: Arc<Settling>,
    stream: u64,
    streams: Arc<Streams>,
    _connection: Arc<Connection>,
    ended: bool,
}

impl Stream for Reading {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.ended || self.dead.as_mut().poll(cx).is_ready() {
                self.ended = true;
                return Poll::Ready(None);
            }
            let delivery = match self.consumers.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(delivery))) => delivery,
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(from_driver(error))));
                }
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(None);
                }
            };
            let number = delivery.delivery_tag;
            self.settling.unsettled.lock().insert(number);
            match decode_entry(&delivery.data) {
                Ok(entry) => {
                    return Poll::Ready(Some(Ok(Delivery {
                        tag: DeliveryTag(self.stream << NUMBER_BITS | number),
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

impl Drop for Reading {
    fn drop(&mut self) {
        self.streams.open.lock().remove(&self.stream);
    }
}
