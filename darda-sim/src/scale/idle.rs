//! What a fleet costs in which nobody says anything.

use std::time::Duration;

use tokio::time::sleep;

use super::counts::{Counted, Op};
use super::fleet::Fleet;
use super::town::Town;
use super::{Failed, simulate};

/// As the engine does by default.
const HEADS_EVERY: Duration = Duration::from_secs(30);
/// Until every session has had its list once: from then on they go on as they always do.
const SETTLE: Duration = Duration::from_secs(45);
/// Every session has its list about twice in it.
const WATCHED: Duration = Duration::from_secs(60);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct IdlePlan {
    /// Gateways.
    pub nodes: usize,
    /// Writers.
    pub writers: usize,
    /// Sessions for each gateway, on average.
    pub sessions: usize,
    /// Conversations of each user, on average.
    pub conversations: usize,
    /// Where the draws begin.
    pub seed: u64,
}

/// What an idle fleet asked of the ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Idled {
    /// Gateways.
    pub nodes: usize,
    /// Writers.
    pub writers: usize,
    /// Clients.
    pub clients: usize,
    /// What was counted.
    pub counted: Counted,
}

impl Idled {
    /// Calls a second, of the whole fleet.
    #[must_use]
    pub fn calls(&self, op: Op) -> f64 {
        self.counted.calls(op) as f64 / WATCHED.as_secs_f64()
    }

    /// Things a second that the calls were about.
    #[must_use]
    pub fn items(&self, op: Op) -> f64 {
        self.counted.items(op) as f64 / WATCHED.as_secs_f64()
    }
}

/// Runs the plan.
///
/// # Errors
/// Where the engine refuses a call, which it must not.
pub fn idle(plan: &IdlePlan) -> Result<Idled, Failed> {
    simulate(async {
        let fleet = Fleet::start(plan.nodes, plan.writers, HEADS_EVERY);
        let clients = plan.nodes * plan.sessions;
        let town = Town::settle(fleet.clone(), clients, plan.conversations, plan.seed).await?;
        while town.connected() < clients {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(SETTLE).await;
        drop(fleet.counts.take());
        sleep(WATCHED).await;
        Ok(Idled {
            nodes: plan.nodes,
            writers: plan.writers,
            clients,
            counted: fleet.counts.take(),
        })
    })
}
