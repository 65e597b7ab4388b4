//! Everything at once, drawn from the seed: several disturbances overlap.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use darda_backends::Passage;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{begin, finish};
use crate::run::Run;
use crate::system::{Layout, Part, Place, Starting};
use crate::wishes::Wishes;
use crate::{Result, say};

/// How often is looked at what is over.
const LOOK: Duration = Duration::from_millis(20);
/// How long a gateway may drain.
const DRAINED: Duration = Duration::from_secs(20);

/// Something that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    GatewayKilled(usize),
    GatewayDrained(usize),
    WriterKilled(usize),
    RedisEmpty,
    RedisHangs,
    RabbitRestarted,
    RabbitCloses,
    RabbitHangs,
    StoreAway,
    StoreHangs,
    Swallowed(&'static str, Part),
}

impl Fault {
    /// What it takes hold of: nothing else happens to it meanwhile.
    fn holds(self) -> String {
        match self {
            // One gateway and one writer stay, so that there is somebody to talk to.
            Self::GatewayKilled(_) | Self::GatewayDrained(_) => "a gateway".to_owned(),
            Self::WriterKilled(_) => "a writer".to_owned(),
            Self::RedisEmpty | Self::RedisHangs => "Redis".to_owned(),
            Self::RabbitRestarted | Self::RabbitCloses | Self::RabbitHangs => "RabbitMQ".to_owned(),
            Self::StoreAway | Self::StoreHangs => "the store".to_owned(),
            Self::Swallowed(node, part) => format!("{node} {part:?}"),
        }
    }

    /// Whether a server has to start to end it.
    fn takes_long(self) -> bool {
        matches!(
            self,
            Self::RedisEmpty | Self::RabbitRestarted | Self::StoreAway
        )
    }

    fn draw(rng: &mut fastrand::Rng) -> Self {
        let nodes = ["gateway-1", "gateway-2", "writer-1", "writer-2"];
        match rng.u32(..14) {
            0 | 1 => Self::GatewayKilled(rng.usize(..2)),
            2 => Self::GatewayDrained(rng.usize(..2)),
            3 | 4 => Self::WriterKilled(rng.usize(..2)),
            5 => Self::RedisEmpty,
            6 => Self::RedisHangs,
            7 => Self::RabbitRestarted,
            8 => Self::RabbitCloses,
            9 => Self::RabbitHangs,
            10 => Self::StoreAway,
            11 => Self::StoreHangs,
            _ => Self::Swallowed(nodes[rng.usize(..4)], Part::ALL[rng.usize(..3)]),
        }
    }
}

async fn break_it(run: &mut Run, fault: Fault) -> Result<()> {
    let system = &mut run.system;
    match fault {
        Fault::GatewayKilled(at) => system.gateways[at].kill().await,
        Fault::GatewayDrained(at) => {
            let door = system.gateways[at].address();
            system.doors.close(door);
            system.gateways[at].signal(Signal::TERM)
        }
        Fault::WriterKilled(at) => {
            system.writers[at].signal(Signal::STOP)?;
            sleep(Duration::from_millis(300)).await;
            system.writers[at].kill().await
        }
        Fault::RedisEmpty => {
            system.back()?.redis()?.server().kill().await;
            Ok(())
        }
        Fault::RedisHangs => {
            system.back()?.redis()?.server().pause();
            Ok(())
        }
        Fault::RabbitRestarted => {
            system.back()?.rabbit()?.server().stop().await;
            Ok(())
        }
        Fault::RabbitCloses => Ok(system.back()?.rabbit()?.close_all_connections().await?),
        Fault::RabbitHangs => {
            system.back()?.rabbit()?.server().pause();
            Ok(())
        }
        Fault::StoreAway => {
            let mongo = &mut system.back()?.mongo;
            mongo.server().kill().await;
            mongo.keeper().kill().await;
            Ok(())
        }
        Fault::StoreHangs => {
            system.back()?.mongo.server().pause();
            Ok(())
        }
        Fault::Swallowed(node, part) => system.back()?.pass(node, part, Passage::Swallowing),
    }
}

/// What a disturbance has come to.
enum Broken {
    /// It lasts.
    Until(Instant, Fault),
    /// Its node is on its way back: what else is over by now does not wait for that.
    Starting(Starting),
}

/// Ends a fault. Where a node starts again, it is given.
async fn heal(run: &mut Run, fault: Fault) -> Result<Option<Starting>> {
    let system = &mut run.system;
    match fault {
        Fault::GatewayKilled(at) => {
            let door = system.gateways[at].address();
            system.doors.close(door);
            return system.begin_start(Place::Gateway(at)).await.map(Some);
        }
        Fault::GatewayDrained(at) => return system.begin_start(Place::Gateway(at)).await.map(Some),
        Fault::WriterKilled(at) => return system.begin_start(Place::Writer(at)).await.map(Some),
        Fault::RedisEmpty => system.back()?.redis()?.start_again().await?,
        Fault::RedisHangs => system.back()?.redis()?.server().resume(),
        Fault::RabbitRestarted => system.back()?.rabbit()?.start_again().await?,
        Fault::RabbitCloses => {}
        Fault::RabbitHangs => system.back()?.rabbit()?.server().resume(),
        Fault::StoreAway => system.back()?.mongo.start_again().await?,
        Fault::StoreHangs => system.back()?.mongo.server().resume(),
        Fault::Swallowed(node, part) => {
            system.back()?.pass(node, part, Passage::Open)?;
        }
    }
    Ok(None)
}

/// What is broken now, by what it takes hold of.
#[derive(Default)]
struct Breakage(BTreeMap<String, Broken>);

impl Breakage {
    /// Heals what has lasted as long as it was to, and takes in nodes that are back.
    async fn heal_due(&mut self, run: &mut Run) -> Result<()> {
        let now = Instant::now();
        let mut all: Vec<_> = std::mem::take(&mut self.0).into_iter().collect();
        all.sort_by_key(
            |(_, broken)| matches!(broken, Broken::Until(_, fault) if fault.takes_long()),
        );
        for (held, broken) in all {
            let left = match broken {
                Broken::Until(until, fault) if until <= now => {
                    let told = |error| format!("{fault:?} is healed: {error}");
                    if let Fault::GatewayDrained(at) = fault
                        && run.system.gateways[at].is_alive()?
                    {
                        if until + DRAINED < now {
                            return Err("a gateway drains for too long".into());
                        }
                        Some(broken)
                    } else {
                        let starting = heal(run, fault).await.map_err(told)?;
                        starting.map(Broken::Starting)
                    }
                }
                Broken::Starting(starting) if starting.is_over() => {
                    run.system.take_in(starting).await?;
                    None
                }
                lasting => Some(lasting),
            };
            if let Some(left) = left {
                self.0.insert(held, left);
            }
        }
        Ok(())
    }

    /// Ends everything.
    async fn heal_all(mut self, run: &mut Run) -> Result<()> {
        let now = Instant::now();
        for broken in self.0.values_mut() {
            if let Broken::Until(until, _) = broken {
                *until = now;
            }
        }
        while !self.0.is_empty() {
            self.heal_due(run).await?;
            sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Breaks and heals for a while; at the end all is healed. Returns how much was broken.
async fn break_parts(run: &mut Run, time: Duration) -> Result<usize> {
    let (began, mut count) = (Instant::now(), 0);
    let mut breakage = Breakage::default();
    let mut next = began;
    while began.elapsed() < time {
        breakage.heal_due(run).await?;
        if Instant::now() >= next {
            let fault = Fault::draw(&mut run.rng);
            if let Entry::Vacant(free) = breakage.0.entry(fault.holds()) {
                let seconds = began.elapsed().as_secs_f64();
                let length = Duration::from_millis(run.rng.u64(500..8_000));
                say(&format!(
                    "    {seconds:>6.1} s {fault:?} for {:.1} s",
                    length.as_secs_f64()
                ));
                break_it(run, fault)
                    .await
                    .map_err(|error| format!("{fault:?}: {error}"))?;
                free.insert(Broken::Until(Instant::now() + length, fault));
                count += 1;
                // Now and then several at once, else time to breathe.
                let pause = if run.rng.u32(..3) == 0 {
                    200..500
                } else {
                    2_000..8_000
                };
                next = Instant::now() + Duration::from_millis(run.rng.u64(pause));
            }
        }
        sleep(LOOK).await;
    }
    breakage.heal_all(run).await?;
    Ok(count)
}

/// One stage of it.
pub(super) async fn stage(run: &mut Run, time: Duration) -> Result<()> {
    run.conditions.cache_forgot = true;
    run.conditions.live_shuffled = true;
    run.conditions.node_killed = true;
    run.conditions.port_refused = true;
    let mut count = 0;
    run.stage("all at once", async |run| {
        count = break_parts(run, time).await?;
        Ok(())
    })
    .await?;
    say(&format!("    {count} disturbances"));
    run.expect(
        count as u64 >= time.as_secs() / 20,
        format!("only {count} disturbances"),
    );
    Ok(())
}

pub(super) async fn disturbed(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("all-at-once", Layout::Real, wishes).await?;
    run.go_on(2).await;
    stage(&mut run, Duration::from_secs(wishes.chaos_seconds)).await?;
    run.go_on(2).await;
    finish(run).await
}
