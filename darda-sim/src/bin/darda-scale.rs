//! Prints what a fleet of gateways asks of the ports, as tables.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use darda_core::model::limits::MAX_MEMBERS;
use darda_sim::scale::{
    ChangesPlan, Disturbance, Failed, IdlePlan, Op, RoutingPlan, Table, WavesPlan, changes, idle,
    number, routing, waves,
};

const USAGE: &str = "\
darda-scale [--nodes N] [--seed N] [PART...]

  --nodes N  gateways (1000)
  --seed N   where all draws begin (1)
  PART       routing, changes, waves, idle; all of them if none is named
";
const PARTS: [&str; 4] = ["routing", "changes", "waves", "idle"];
/// Sizes of conversations, and how many of each are averaged.
const SIZES: [(usize, usize); 6] = [
    (2, 100),
    (8, 50),
    (50, 20),
    (500, 5),
    (5_000, 2),
    (MAX_MEMBERS, 1),
];
/// Sizes of which every call is told.
const DETAILED: [usize; 3] = [2, 8, 5_000];
/// Sizes of groups before somebody joins.
const GROWING: [usize; 4] = [8, 50, 500, 5_000];
/// Sessions of a gateway. The counts grow in proportion, so that few are enough.
const SESSIONS: usize = 20;
const CONVERSATIONS: usize = 10;
/// How long a gateway drains, by the server's default.
const DRAIN: Duration = Duration::from_secs(10);

struct Wishes {
    nodes: usize,
    seed: u64,
    parts: Vec<String>,
}

fn main() -> ExitCode {
    let Some(wishes) = wishes() else {
        say(USAGE);
        return ExitCode::from(2);
    };
    let began = Instant::now();
    for part in &wishes.parts {
        let told = match part.as_str() {
            "routing" => tell_routing(&wishes),
            "changes" => tell_changes(&wishes),
            "waves" => tell_waves(&wishes),
            _ => tell_idle(&wishes),
        };
        match told {
            Ok(text) => say(&text),
            Err(error) => {
                say(&format!("{part}: {error}\n"));
                return ExitCode::FAILURE;
            }
        }
    }
    say(&format!("{:.0} s\n", began.elapsed().as_secs_f64()));
    ExitCode::SUCCESS
}

fn wishes() -> Option<Wishes> {
    let mut wishes = Wishes {
        nodes: 1000,
        seed: 1,
        parts: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--nodes" => wishes.nodes = words.next()?.parse().ok().filter(|nodes| *nodes > 1)?,
            "--seed" => wishes.seed = words.next()?.parse().ok()?,
            part if PARTS.contains(&part) => wishes.parts.push(word),
            _ => return None,
        }
    }
    if wishes.parts.is_empty() {
        wishes.parts = PARTS.map(str::to_owned).into();
    }
    Some(wishes)
}

fn tell_routing(wishes: &Wishes) -> Result<String, Failed> {
    let mut text = format!(
        "\n## Routing: {} gateways\n\nA send to a quiet conversation, on average.\n\n",
        wishes.nodes
    );
    let mut routes = Table::new(&[
        "members",
        "online",
        "other nodes with a member",
        "live messages",
        "copies to nodes",
        "events to nodes without one",
        "registry look-ups",
        "users looked up",
    ]);
    let mut all_online = Vec::new();
    for online in [0.1, 0.2, 1.0] {
        let rows = routing(&RoutingPlan {
            nodes: wishes.nodes,
            sizes: SIZES.into(),
            online,
            seed: wishes.seed,
        })?;
        for row in &rows {
            let quiet = &row.quiet;
            routes.row([
                number(row.members as f64),
                number(row.online),
                number(row.other_nodes),
                number(quiet.calls(Op::LIVE_MESSAGES)),
                number(quiet.calls(Op::LIVE_COPIES)),
                number(row.in_vain),
                number(quiet.calls(Op::NODES_OF)),
                number(quiet.items(Op::NODES_OF)),
            ]);
        }
        all_online = rows;
    }
    text += &format!("{routes}\nCalls of the ports for a send, all members online. *First*: the ");
    text += "sender's node knows nothing of the\nconversation yet; *quiet*: two seconds after the ";
    text += "last; *of ten*, *of a hundred*: sent at once.\n\n";
    let mut calls = Table::new(&[
        "members",
        "call",
        "first",
        "quiet",
        "of ten",
        "of a hundred",
    ]);
    const OPS: [Op; 15] = [
        Op::APPEND,
        Op::CHANGES,
        Op::LOST,
        Op::SETTLE,
        Op::ENQUEUE,
        Op::SETTLE_DELIVERIES,
        Op::LIVE_MESSAGES,
        Op::LIVE_COPIES,
        Op::NODES_OF,
        Op::MEMBERS,
        Op::UNLOGGED,
        Op::BLOCKED_BETWEEN,
        Op::INSERT,
        Op::SET_HEADS,
        Op::STORE_FIND,
    ];
    let detailed = all_online.iter();
    for row in detailed.filter(|row| DETAILED.contains(&row.members)) {
        let phases = [&row.first, &row.quiet, &row.ten, &row.hundred];
        for op in OPS {
            if phases.iter().all(|phase| phase.calls(op) == 0.0) {
                continue;
            }
            let cells = [number(row.members as f64), op.name().to_owned()];
            let counts = phases.map(|phase| number(phase.calls(op)));
            calls.row(cells.into_iter().chain(counts));
        }
    }
    text += &calls.to_string();
    Ok(text)
}

fn tell_changes(wishes: &Wishes) -> Result<String, Failed> {
    let rows = changes(&ChangesPlan {
        nodes: wishes.nodes,
        sizes: GROWING.into(),
        seed: wishes.seed,
    })?;
    let mut table = Table::new(&[
        "members",
        "nodes with a member",
        "live messages",
        "copies to nodes",
        "readings of the members",
        "members read",
        "of changes on their way",
    ]);
    for row in rows {
        let counted = &row.counted;
        table.row([
            number(row.members as f64),
            number(row.nodes as f64),
            number(counted.calls(Op::LIVE_MESSAGES) as f64),
            number(counted.calls(Op::LIVE_COPIES) as f64),
            number(counted.calls(Op::MEMBERS) as f64),
            number(counted.items(Op::MEMBERS) as f64),
            number((counted.calls(Op::CHANGES) + counted.calls(Op::UNLOGGED)) as f64),
        ]);
    }
    let nodes = wishes.nodes;
    Ok(format!(
        "\n## One new member: {nodes} gateways, all members online\n\n{table}"
    ))
}

fn tell_waves(wishes: &Wishes) -> Result<String, Failed> {
    let nodes = wishes.nodes;
    let plan = WavesPlan {
        nodes,
        sessions: SESSIONS,
        conversations: CONVERSATIONS,
        disturbances: vec![
            Disturbance::None,
            Disturbance::Killed { gateways: 1 },
            Disturbance::Killed {
                gateways: nodes.div_ceil(10),
            },
            Disturbance::Replaced {
                at_once: nodes.div_ceil(10),
                drain: DRAIN,
            },
            Disturbance::Replaced {
                at_once: nodes.div_ceil(100),
                drain: DRAIN,
            },
            Disturbance::BrokerRestarts,
            Disturbance::RegistryForgets,
        ],
        seed: wishes.seed,
    };
    let mut table = Table::new(&[
        "what happens",
        "clients that came back",
        "all back after, s",
        "watched, s",
        "call",
        "calls",
        "items",
        "most in a second",
    ]);
    const OPS: [Op; 9] = [
        Op::REGISTER,
        Op::UNREGISTER,
        Op::RENEW,
        Op::MEMBERSHIPS,
        Op::HEADS,
        Op::EPOCHS,
        Op::RECENT,
        Op::PAGE,
        Op::SUBSCRIBE,
    ];
    for wave in waves(&plan)? {
        let what = match wave.disturbance {
            Disturbance::None => "nothing".to_owned(),
            Disturbance::Killed { gateways: 1 } => "a gateway is killed".to_owned(),
            Disturbance::Killed { gateways } => format!("{gateways} gateways are killed"),
            Disturbance::Replaced { at_once, .. } => {
                format!("all gateways are replaced, {at_once} at a time")
            }
            Disturbance::BrokerRestarts => "the broker restarts".to_owned(),
            Disturbance::RegistryForgets => "the registry forgets".to_owned(),
        };
        for op in OPS {
            let counted = &wave.counted;
            if counted.calls(op) == 0 {
                continue;
            }
            table.row([
                what.clone(),
                number(wave.came_back as f64),
                number(wave.all_back.as_secs_f64()),
                number(wave.watched.as_secs_f64()),
                op.name().to_owned(),
                number(counted.calls(op) as f64),
                number(counted.items(op) as f64),
                number(counted.peak(op) as f64),
            ]);
        }
    }
    let clients = number((nodes * SESSIONS) as f64);
    Ok(format!(
        "\n## Waves: {nodes} gateways, {clients} clients, {CONVERSATIONS} conversations each\n\n{table}"
    ))
}

fn tell_idle(wishes: &Wishes) -> Result<String, Failed> {
    let tenth = wishes.nodes.div_ceil(10);
    let mut table = Table::new(&[
        "gateways",
        "writers",
        "clients",
        "conversations each",
        "call",
        "calls a second",
        "items a second",
        "most calls in a second",
        "calls a second and gateway",
        "calls a second and 1,000 clients",
    ]);
    const OPS: [Op; 10] = [
        Op::RENEW,
        Op::MEMBERSHIPS,
        Op::HEADS,
        Op::EPOCHS,
        Op::OUTBOX_LEN,
        Op::CLAIM_OVERDUE,
        Op::BACKLOG,
        Op::LIVE_MESSAGES,
        Op::APPEND,
        Op::REGISTER,
    ];
    for (nodes, writers, sessions, conversations) in [
        (tenth, 1, SESSIONS, CONVERSATIONS),
        (tenth, 10, SESSIONS, CONVERSATIONS),
        (tenth, 1, SESSIONS * 10, CONVERSATIONS),
        (tenth, 1, SESSIONS, CONVERSATIONS * 4),
        (wishes.nodes, 1, SESSIONS, CONVERSATIONS),
    ] {
        let idled = idle(&IdlePlan {
            nodes,
            writers,
            sessions,
            conversations,
            seed: wishes.seed,
        })?;
        for op in OPS {
            let calls = idled.calls(op);
            if calls == 0.0 {
                continue;
            }
            table.row([
                number(idled.nodes as f64),
                number(idled.writers as f64),
                number(idled.clients as f64),
                number(conversations as f64),
                op.name().to_owned(),
                number(calls),
                number(idled.items(op)),
                number(idled.counted.peak(op) as f64),
                number(calls / idled.nodes as f64),
                number(calls / idled.clients as f64 * 1e3),
            ]);
        }
    }
    Ok(format!("\n## Idle\n\n{table}"))
}

fn say(text: &str) {
    // Nobody to listen is no reason to fail.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
