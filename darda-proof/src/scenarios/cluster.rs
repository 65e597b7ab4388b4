//! Three RabbitMQ nodes: the one that leads most queues is killed and comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::run::Run;
use crate::system::Layout;
use crate::wishes::Wishes;

/// How long the leader is away.
const AWAY: Duration = Duration::from_secs(15);

/// The number of the node that leads most of the quorum queues.
async fn leader(run: &mut Run) -> Result<usize> {
    let cluster = run
        .system
        .back()?
        .cluster
        .as_mut()
        .ok_or("there is no cluster")?;
    let nodes = cluster.nodes();
    let said = nodes[0].control(&["list_queues", "type", "leader"]).await?;
    let mut led: BTreeMap<usize, usize> = BTreeMap::new();
    for line in said.lines().filter(|line| line.starts_with("quorum")) {
        let port = |node: &darda_backends::Rabbit| format!("darda{}@", node.port());
        if let Some(at) = nodes.iter().position(|node| line.contains(&port(node))) {
            *led.entry(at).or_default() += 1;
        }
    }
    let most = led.into_iter().max_by_key(|(_, queues)| *queues);
    Ok(most
        .ok_or_else(|| format!("no quorum queue has a leader: {said}"))?
        .0)
}

pub(super) async fn leader_killed(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("rabbit-cluster", Layout::RealCluster, wishes).await?;
    run.conditions.live_shuffled = true;
    for _ in 0..2 {
        run.pause(2).await;
        let at = leader(&mut run).await?;
        let name = format!(
            "RabbitMQ node {}, which leads most queues, is killed",
            at + 1
        );
        run.stage(&name, async |run| {
            let cluster = run
                .system
                .back()?
                .cluster
                .as_mut()
                .ok_or("there is no cluster")?;
            let node = &mut cluster.nodes()[at];
            node.server().kill().await;
            sleep(AWAY).await;
            node.start_again().await?;
            Ok(())
        })
        .await?;
    }
    run.pause(2).await;
    finish(run).await
}
