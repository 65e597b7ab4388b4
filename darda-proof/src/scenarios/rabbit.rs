//! RabbitMQ closes connections, is restarted, blocks publishers, hangs.

use std::time::Duration;

use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::system::Layout;
use crate::wishes::Wishes;

pub(super) async fn disturbed(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("rabbit", Layout::Real, wishes).await?;
    run.conditions.live_shuffled = true;
    run.pause(4).await;
    run.stage("RabbitMQ closes all connections", async |run| {
        Ok(run.system.back()?.rabbit()?.close_all_connections().await?)
    })
    .await?;
    run.pause(4).await;
    run.stage("RabbitMQ is restarted", async |run| {
        let rabbit = run.system.back()?.rabbit()?;
        rabbit.server().stop().await;
        rabbit.start_again().await?;
        Ok(())
    })
    .await?;
    run.pause(4).await;
    let figures = run
        .stage("RabbitMQ raises the memory alarm", async |run| {
            run.system.back()?.rabbit()?.raise_memory_alarm().await?;
            sleep(Duration::from_secs(5)).await;
            run.system.back()?.rabbit()?.end_memory_alarm().await?;
            Ok(())
        })
        .await?;
    run.expect(
        figures.retry > 0,
        "publishers were blocked and nobody was told",
    );
    run.pause(4).await;
    let figures = run
        .stage("RabbitMQ hangs", async |run| {
            let rabbit = run.system.back()?.rabbit()?;
            rabbit.server().pause();
            sleep(Duration::from_secs(10)).await;
            rabbit.server().resume();
            Ok(())
        })
        .await?;
    run.expect(figures.retry > 0, "RabbitMQ hung and nobody was told");
    finish(run).await
}
