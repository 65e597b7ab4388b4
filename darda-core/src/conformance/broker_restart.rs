//! A broker that restarts.

use super::Disturbed;
use super::broker::{delivered, give, nothing_before, receive};
use super::fixture::{Log, ended, next, node, persist, positions};
use super::live::{numbered, to};
use crate::error::Result;
use crate::ports::{Broker, Verdict};

pub(super) async fn a_restart_ends_the_streams(broker: Disturbed<dyn Broker>) -> Result<()> {
    let mut deliveries = broker.port.consume(10).await?;
    let mut events = broker.port.subscribe(node("node")).await?;
    (broker.disturb)().await;
    ended(&mut deliveries).await?;
    ended(&mut events).await
}

pub(super) async fn enqueued_entries_survive_a_restart(
    broker: Disturbed<dyn Broker>,
) -> Result<()> {
    broker.port.enqueue(Log::new().entries(20)).await?;
    (broker.disturb)().await;
    let mut stream = persist(|| broker.port.consume(10)).await?;
    let received = delivered(&receive(&mut stream, 20).await?);
    assert_eq!(positions(&received), (1..=20).collect::<Vec<_>>());
    Ok(())
}

pub(super) async fn unsettled_entries_come_again_after_a_restart(
    broker: Disturbed<dyn Broker>,
) -> Result<()> {
    let log = Log::new();
    broker.port.enqueue(log.entries(3)).await?;
    let mut stream = broker.port.consume(10).await?;
    let received = receive(&mut stream, 3).await?;
    give(&*broker.port, &received[..1], Verdict::Done).await?;
    (broker.disturb)().await;
    drop(stream);
    let mut stream = persist(|| broker.port.consume(10)).await?;
    // A verdict given at the last moment may be lost: the first may come, the others must.
    let mut again = Vec::new();
    while !(again.contains(&2) && again.contains(&3)) {
        again.extend(positions(&delivered(&receive(&mut stream, 1).await?)));
    }
    Ok(())
}

pub(super) async fn dead_entries_stay_dead_after_a_restart(
    broker: Disturbed<dyn Broker>,
) -> Result<()> {
    let log = Log::new();
    broker.port.enqueue(log.entries(1)).await?;
    let mut stream = broker.port.consume(10).await?;
    let received = receive(&mut stream, 1).await?;
    give(&*broker.port, &received, Verdict::Dead).await?;
    // By now the verdict has taken effect.
    nothing_before(&*broker.port, &mut stream, log.entry(8, "marker")).await?;
    (broker.disturb)().await;
    drop(stream);
    let mut stream = persist(|| broker.port.consume(10)).await?;
    broker
        .port
        .enqueue(vec![log.entry(9, "another marker")])
        .await?;
    let first = delivered(&receive(&mut stream, 1).await?);
    assert!(!positions(&first).contains(&1), "a dead entry came again");
    Ok(())
}

pub(super) async fn events_flow_again_after_a_restart(broker: Disturbed<dyn Broker>) -> Result<()> {
    let node = node("node");
    drop(broker.port.subscribe(node.clone()).await?);
    (broker.disturb)().await;
    let mut events = persist(|| broker.port.subscribe(node.clone())).await?;
    persist(|| broker.port.publish(vec![to(&[&node], numbered(1))])).await?;
    next(&mut events).await?;
    Ok(())
}
