//! The scenarios: each starts a system of its own, disturbs it in one way, and has it judged.

mod all_at_once;
mod attach;
mod cluster;
mod drain;
mod gateway;
mod memory;
mod network;
mod rabbit;
mod redis;
mod soak;
mod store;
mod writer;

use std::path::PathBuf;
use std::pin::Pin;

use crate::run::Run;
use crate::system::{Layout, System};
use crate::wishes::Wishes;
use crate::{Result, say};

type Passed<'a> = Pin<Box<dyn Future<Output = Result<bool>> + 'a>>;

/// A way to disturb a system.
struct Scenario {
    name: &'static str,
    what: &'static str,
    /// Whether `all` means it too.
    usual: bool,
    run: for<'a> fn(&'a Wishes) -> Passed<'a>,
}

const ALL: &[Scenario] = &[
    Scenario {
        name: "calm",
        what: "one server in memory, nothing breaks",
        usual: true,
        run: |wishes| Box::pin(memory::calm(wishes)),
    },
    Scenario {
        name: "connections-cut",
        what: "one server in memory, clients' connections are cut",
        usual: true,
        run: |wishes| Box::pin(memory::connections_cut(wishes)),
    },
    Scenario {
        name: "gateway-killed",
        what: "1: a gateway is killed, then the other",
        usual: true,
        run: |wishes| Box::pin(gateway::killed(wishes)),
    },
    Scenario {
        name: "writer-killed",
        what: "2: a writer is killed in the middle of a batch, then the other",
        usual: true,
        run: |wishes| Box::pin(writer::killed(wishes)),
    },
    Scenario {
        name: "redis",
        what: "3: Redis is killed and comes back empty; hangs for 10 s",
        usual: true,
        run: |wishes| Box::pin(redis::lost_and_hung(wishes)),
    },
    Scenario {
        name: "redis-promoted",
        what: "3: Redis' master is killed and Sentinel promotes its replica",
        usual: true,
        run: |wishes| Box::pin(redis::promoted(wishes)),
    },
    Scenario {
        name: "rabbit",
        what: "4: RabbitMQ closes its connections, is restarted, raises the memory alarm, hangs for 10 s",
        usual: true,
        run: |wishes| Box::pin(rabbit::disturbed(wishes)),
    },
    Scenario {
        name: "store",
        what: "5: the store is away for 30 s; hangs for 10 s",
        usual: true,
        run: |wishes| Box::pin(store::away(wishes)),
    },
    Scenario {
        name: "drain",
        what: "6: a rolling restart of both gateways by SIGTERM",
        usual: true,
        run: |wishes| Box::pin(drain::rolling(wishes)),
    },
    Scenario {
        name: "network",
        what: "7: the network between a node and one server swallows everything",
        usual: true,
        run: |wishes| Box::pin(network::swallows(wishes)),
    },
    Scenario {
        name: "all-at-once",
        what: "8: all of it at once, drawn at random",
        usual: true,
        run: |wishes| Box::pin(all_at_once::disturbed(wishes)),
    },
    Scenario {
        name: "rabbit-cluster",
        what: "three RabbitMQ nodes, the leader of most queues is killed",
        usual: false,
        run: |wishes| Box::pin(cluster::leader_killed(wishes)),
    },
    Scenario {
        name: "soak",
        what: "all at once, round after round in one system, for --minutes",
        usual: false,
        run: |wishes| Box::pin(soak::soak(wishes)),
    },
    Scenario {
        name: "attach",
        what: "a system that stands behind --gateway; who disturbs it says so on standard input",
        usual: false,
        run: |wishes| Box::pin(attach::attached(wishes)),
    },
];

/// What `all` and every name mean.
pub(crate) fn help() -> String {
    let lines = ALL.iter().map(|it| {
        let note = if it.usual { "" } else { " (not in `all`)" };
        format!("  {:<18} {}{note}\n", it.name, it.what)
    });
    lines.collect()
}

/// Runs what is asked for. Whether all passed.
pub(crate) async fn run_all(wishes: &Wishes) -> Result<bool> {
    let mut wanted = Vec::new();
    for name in &wishes.scenarios {
        if name == "all" {
            wanted.extend(ALL.iter().filter(|it| it.usual));
        } else {
            let found = ALL.iter().find(|it| it.name == name);
            wanted.push(found.ok_or_else(|| format!("there is no scenario {name}\n{}", help()))?);
        }
    }
    let began = tokio::time::Instant::now();
    let mut failed = Vec::new();
    for scenario in &wanted {
        say(&format!(
            "{} (seed {}): {}",
            scenario.name, wishes.seed, scenario.what
        ));
        match (scenario.run)(wishes).await {
            Ok(true) => {}
            Ok(false) => failed.push(scenario.name),
            Err(error) if error.downcast_ref::<darda_backends::StartError>().is_some() => {
                return Err(error);
            }
            Err(error) => {
                say(&format!("  FAILED {}: {error}", scenario.name));
                failed.push(scenario.name);
            }
        }
    }
    let (seconds, passed) = (began.elapsed().as_secs_f64(), wanted.len() - failed.len());
    say(&format!(
        "{passed} passed, {} failed in {seconds:.0} s {failed:?}",
        failed.len()
    ));
    Ok(failed.is_empty())
}

/// Where the nodes of a scenario log.
fn logs(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let logs = target.join("proof").join(name);
    // What an earlier run left there is not this run's.
    let _ = std::fs::remove_dir_all(&logs);
    logs
}

/// Starts a scenario's system and its load.
async fn begin(name: &str, layout: Layout, wishes: &Wishes) -> Result<Run> {
    let system = System::start(layout, &logs(name)).await?;
    let mut run = Run::begin(name, system, wishes, 0).await?;
    if layout != Layout::Memory {
        run.conditions.port_refused = true;
    }
    Ok(run)
}

async fn finish(run: Run) -> Result<bool> {
    let (_, report) = run.finish().await?;
    Ok(report.passed())
}
