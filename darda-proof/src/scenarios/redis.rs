//! Redis loses its memory, hangs, or is replaced by a copy that may lag.

use std::time::Duration;

use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::system::Layout;
use crate::wishes::Wishes;

pub(super) async fn lost_and_hung(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("redis", Layout::Real, wishes).await?;
    run.conditions.cache_forgot = true;
    run.pause(2).await;
    run.stage("Redis is killed and comes back empty", async |run| {
        let redis = run.system.back()?.redis()?;
        redis.server().kill().await;
        sleep(Duration::from_secs(1)).await;
        redis.start_again().await?;
        Ok(())
    })
    .await?;
    run.pause(2).await;
    let figures = run
        .stage("Redis hangs", async |run| {
            let redis = run.system.back()?.redis()?;
            redis.server().pause();
            sleep(Duration::from_secs(10)).await;
            redis.server().resume();
            Ok(())
        })
        .await?;
    run.expect(figures.retry > 0, "Redis hung and nobody was told");
    run.pause(2).await;
    finish(run).await
}

pub(super) async fn promoted(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("redis-promoted", Layout::RealSentinel, wishes).await?;
    run.conditions.cache_forgot = true;
    run.pause(1).await;
    run.stage(
        "the master is killed and the replica promoted",
        async |run| {
            let sentinel = run.system.back()?.sentinel.as_mut();
            let sentinel = sentinel.ok_or("there is no Sentinel")?;
            sentinel.fail_over().await?;
            Ok(())
        },
    )
    .await?;
    run.pause(1).await;
    finish(run).await
}
