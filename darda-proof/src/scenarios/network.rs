//! The network between a node and one server swallows everything: connections look healthy, and
//! nothing moves.

use std::time::Duration;

use darda_backends::Passage;
use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::system::{Layout, Part};
use crate::wishes::Wishes;

const SWALLOWED: Duration = Duration::from_secs(8);

pub(super) async fn swallows(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("network", Layout::Real, wishes).await?;
    run.conditions.live_shuffled = true;
    let pairs = [
        ("gateway-1", Part::Broker),
        ("gateway-2", Part::Cache),
        ("gateway-1", Part::Store),
        ("writer-1", Part::Broker),
        ("writer-2", Part::Store),
    ];
    for (node, part) in pairs {
        run.pause(5).await;
        let name = format!("between {node} and {} nothing passes", part.name());
        run.stage(&name, async |run| {
            run.system.back()?.pass(node, part, Passage::Swallowing)?;
            sleep(SWALLOWED).await;
            run.system.back()?.pass(node, part, Passage::Open)
        })
        .await?;
    }
    finish(run).await
}
