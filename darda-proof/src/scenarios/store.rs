//! The store is away, then hangs, then comes back: sends go on meanwhile.

use std::time::Duration;

use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::system::Layout;
use crate::wishes::Wishes;

pub(super) async fn away(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("store", Layout::Real, wishes).await?;
    run.pause(3).await;
    let figures = run
        .stage("the store is away", async |run| {
            let mongo = &mut run.system.back()?.mongo;
            mongo.server().kill().await;
            mongo.keeper().kill().await;
            sleep(Duration::from_secs(30)).await;
            mongo.start_again().await?;
            Ok(())
        })
        .await?;
    let share = figures.acked as f64 / figures.sends.max(1) as f64;
    run.expect(share > 0.5, "sends did not go on without the store");
    run.pause(3).await;
    run.stage("the store hangs", async |run| {
        let mongo = &mut run.system.back()?.mongo;
        mongo.server().pause();
        sleep(Duration::from_secs(10)).await;
        mongo.server().resume();
        Ok(())
    })
    .await?;
    run.pause(3).await;
    finish(run).await
}
