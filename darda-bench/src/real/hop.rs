//! The bare program of `real-hop`: one round trip to Redis and then one hop through RabbitMQ, from a
//! connection to the exclusive queue of another.

use std::time::{Duration, Instant};

use futures::StreamExt;
use hdrhistogram::Histogram;
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use super::{BackEnds, connect};
use crate::{Result, stamp};

/// So many messages a second, and so many in all, of so many bytes: nanoseconds of each.
pub(crate) async fn hops(
    back_ends: &BackEnds,
    (per_second, messages): (u32, u32),
    bytes: usize,
) -> Result<Histogram<u64>> {
    let mut redis = connect::redis(&back_ends.redis).await?;
    let from = connect::rabbit(&back_ends.amqp).await?;
    let to = connect::rabbit(&back_ends.amqp).await?;
    let receiving = to.create_channel().await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = receiving
        .queue_declare("".into(), options, FieldTable::default())
        .await?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let mut deliveries = receiving
        .basic_consume(
            queue.name().clone(),
            "".into(),
            options,
            FieldTable::default(),
        )
        .await?;
    let publishing = from.create_channel().await?;

    let mut times = Histogram::new(3)?;
    let mut every = tokio::time::interval(Duration::from_secs(1) / per_second);
    for number in 0..messages {
        every.tick().await;
        let text = stamp::text(number.into(), bytes);
        let start = Instant::now();
        let () = redis::cmd("PING").query_async(&mut redis).await?;
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        publishing
            .basic_publish("".into(), queue.name().clone(), options, &text, properties)
            .await?;
        let delivery = deliveries.next().await.ok_or("the consumer ended")??;
        if delivery.data != text {
            return Err("another message than the one that was sent".into());
        }
        times.record(u64::try_from(start.elapsed().as_nanos())?)?;
    }
    for rabbit in [from, to] {
        rabbit.close(200, "done".into()).await?;
    }
    Ok(times)
}
