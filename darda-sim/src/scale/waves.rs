//! Waves of reconnects: gateways die or are replaced, the broker restarts, the registry forgets. What
//! that asks of the ports, and how it is spread over time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::counts::Counted;
use super::fleet::Fleet;
use super::town::Town;
use super::{Failed, simulate};

/// As the engine does by default.
const HEADS_EVERY: Duration = Duration::from_secs(30);
/// Until all are connected and their first pulses are over.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a wave is watched after the last thing that was done.
const WATCH: Duration = Duration::from_secs(10);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing: what is counted goes on in any case.
    None,
    /// So many gateways die at once and are not replaced.
    Killed {
        /// How many.
        gateways: usize,
    },
    /// All gateways are replaced, so many at a time: new ones start, the old ones drain and stop.
    Replaced {
        /// So many at a time.
        at_once: usize,
        /// How long each has to drain.
        drain: Duration,
    },
    /// The broker restarts: every node subscribes again.
    BrokerRestarts,
    /// The registry forgets all sessions.
    RegistryForgets,
}

/// What is simulated.
#[derive(Debug, Clone)]
pub struct WavesPlan {
    /// Gateways.
    pub nodes: usize,
    /// Sessions for each gateway, on average.
    pub sessions: usize,
    /// Conversations of each user, on average.
    pub conversations: usize,
    /// One wave each, in a fleet of its own.
    pub disturbances: Vec<Disturbance>,
    /// Where the draws begin.
    pub seed: u64,
}

/// One wave.
#[derive(Debug, Clone, PartialEq)]
pub struct Waved {
    /// What happened.
    pub disturbance: Disturbance,
    /// Clients.
    pub clients: usize,
    /// How often a client came back.
    pub came_back: u64,
    /// From the beginning until the last one was back.
    pub all_back: Duration,
    /// Seconds that were counted.
    pub watched: Duration,
    /// What was counted.
    pub counted: Counted,
}

/// Runs the plan: one row for each disturbance.
///
/// # Errors
/// Where the engine refuses a call, which it must not.
pub fn waves(plan: &WavesPlan) -> Result<Vec<Waved>, Failed> {
    let waves = plan.disturbances.iter();
    waves.map(|disturbance| wave(plan, *disturbance)).collect()
}

fn wave(plan: &WavesPlan, disturbance: Disturbance) -> Result<Waved, Failed> {
    simulate(async {
        let fleet = Fleet::start(plan.nodes, 1, HEADS_EVERY);
        let clients = plan.nodes * plan.sessions;
        let town = Town::settle(fleet.clone(), clients, plan.conversations, plan.seed).await?;
        while town.connected() < clients {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(SETTLE).await;
        drop((town.take_back(), fleet.counts.take()));
        let start = Instant::now();
        disturb(&fleet, disturbance).await;
        sleep(WATCH).await;
        while town.connected() < clients {
            sleep(Duration::from_secs(1)).await;
        }
        let (last, came_back) = town.take_back();
        Ok(Waved {
            disturbance,
            clients,
            came_back,
            all_back: last.map_or(Duration::ZERO, |last| last - start),
            watched: start.elapsed(),
            counted: fleet.counts.take(),
        })
    })
}

async fn disturb(fleet: &Arc<Fleet>, disturbance: Disturbance) {
    match disturbance {
        Disturbance::None => {}
        Disturbance::Killed { gateways } => {
            for gateway in fleet.take_oldest(gateways) {
                gateway.kill();
            }
        }
        Disturbance::Replaced { at_once, drain } => {
            let mut left = fleet.living().len();
            while left > 0 {
                let step = at_once.max(1).min(left);
                left -= step;
                (0..step).for_each(|_| drop(fleet.add()));
                let old = fleet.take_oldest(step).into_iter().map(|old| async move {
                    old.drain(drain).await;
                    old.shutdown().await;
                });
                futures::future::join_all(old).await;
            }
        }
        Disturbance::BrokerRestarts => fleet.broker.restart(),
        Disturbance::RegistryForgets => fleet.registry.lose_memory(),
    }
}
