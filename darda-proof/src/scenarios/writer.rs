//! A writer is killed while it holds entries that are not stored: another takes over.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::system::{Layout, Place};
use crate::wishes::Wishes;

/// Hung for so long, a writer has entries in its hands that it has not settled, whatever it did.
const HELD: Duration = Duration::from_millis(500);

pub(super) async fn killed(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("writer-killed", Layout::Real, wishes).await?;
    run.conditions.node_killed = true;
    for at in 0..2 {
        run.pause(2).await;
        let name = format!("writer {} is killed in the middle of a batch", at + 1);
        run.stage(&name, async |run| {
            let writer = &mut run.system.writers[at];
            writer.signal(Signal::STOP)?;
            sleep(HELD).await;
            writer.kill().await
        })
        .await?;
        run.system.start_again(Place::Writer(at)).await?;
    }
    run.pause(2).await;
    finish(run).await
}
