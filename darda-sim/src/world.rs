//! The nodes of a run and the parts under them, and how they break.

use std::sync::Arc;
use std::time::Duration;

use std::collections::BTreeMap;

use darda_core::faults::{
    Faults, FaultyBroker, FaultyCache, FaultyRegistry, FaultyStore, Port as Part, Trouble,
};
use darda_core::memory::{
    CacheSnapshot, Clock, MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore,
};
use darda_core::model::NodeId;
use darda_core::ports::{Broker, Cache};
use darda_core::resilience::Resilience;
use darda_core::{Chat, Options, Ports};
use parking_lot::Mutex;

use crate::clock::PausedClock;
use crate::history::{Conditions, What};
use crate::plan::{Breakage, Plan, Port};
use crate::recorder::Recorder;

const QUEUE_LIMIT: usize = 2_000;
const LIVE_LIMIT: usize = 500;
/// How late a live event may come.
const LATE: Duration = Duration::from_secs(3);
const DRAIN: Duration = Duration::from_secs(5);
/// Of so many seeds, one runs on wrapped ports, as the server does. The others leave the engine to
/// itself, which hides nothing.
const RESILIENT: u64 = 4;

/// The nodes of a run and the parts under them.
#[derive(Debug)]
pub(crate) struct World {
    /// The parts themselves, behind what breaks them.
    pub(crate) memory: Memory,
    faults: Faults,
    ports: Ports,
    /// How each node wraps the ports, if it does.
    resilience: Option<Resilience>,
    options: Options,
    size: usize,
    weather: Duration,
    state: Mutex<State>,
}

/// The memory ports.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) broker: Arc<MemoryBroker>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) cache: Arc<MemoryCache>,
    pub(crate) registry: Arc<MemoryRegistry>,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Chat>,
    started: usize,
    conditions: Conditions,
    /// What is broken now, by the fault's number.
    broken: BTreeMap<usize, Breakage>,
    /// Copies of the cache that lag, by the fault's number.
    copies: BTreeMap<usize, CacheSnapshot>,
}

impl World {
    /// Parts that are whole, and the plan's nodes.
    #[must_use]
    pub(crate) fn new(plan: &Plan, recorder: &Recorder) -> Arc<Self> {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::since(recorder.start()));
        let memory = Memory {
            broker: Arc::new(
                MemoryBroker::new()
                    .with_queue_limit(QUEUE_LIMIT)
                    .with_live_limit(LIVE_LIMIT),
            ),
            store: Arc::new(MemoryStore::new()),
            cache: Arc::new(MemoryCache::with_clock(clock.clone())),
            registry: Arc::new(MemoryRegistry::with_clock(clock.clone())),
        };
        let faults = Faults::new(plan.seed);
        let ports = Ports::new(
            Arc::new(FaultyBroker::new(memory.broker.clone(), faults.clone())),
            Arc::new(FaultyStore::new(memory.store.clone(), faults.clone())),
            Arc::new(FaultyCache::new(memory.cache.clone(), faults.clone())),
            Arc::new(FaultyRegistry::new(memory.registry.clone(), faults.clone())),
        );
        let resilience = plan
            .seed
            .is_multiple_of(RESILIENT)
            .then(|| Resilience::default().with_jitter_seed(plan.seed));
        let options = Options::default()
            .without_rate_limits()
            .with_session_queue(plan.session_queue)
            .with_heads_every(Duration::from_secs(10))
            .with_reap_after(Duration::from_secs(5))
            .with_clock(clock);
        let conditions = Conditions {
            live_shuffled: plan.weather_ms > 0,
            ..Conditions::default()
        };
        let state = Mutex::new(State {
            conditions,
            ..State::default()
        });
        let weather = Duration::from_millis(plan.weather_ms);
        let world = Self {
            memory,
            faults,
            ports,
            resilience,
            options,
            size: plan.nodes,
            weather,
            state,
        };
        world.switch();
        (0..plan.nodes).for_each(|_| world.start_node());
        Arc::new(world)
    }

    /// A node that lives.
    #[must_use]
    pub(crate) fn node(&self, pick: u32) -> Option<Chat> {
        let state = self.state.lock();
        let count = state.nodes.len();
        state.nodes.get(pick as usize % count.max(1)).cloned()
    }

    /// What was done to the parts so far.
    #[must_use]
    pub(crate) fn conditions(&self) -> Conditions {
        self.state.lock().conditions
    }

    fn start_node(&self) {
        let mut state = self.state.lock();
        state.started += 1;
        let name = NodeId::new(format!("node{}", state.started));
        let ports = match &self.resilience {
            Some(resilience) => self.ports.clone().resilient(resilience),
            None => self.ports.clone(),
        };
        let node = Chat::start(ports, self.options.clone().with_node(name));
        state.nodes.push(node);
    }

    fn take_node(&self, pick: u32) -> Option<Chat> {
        let mut state = self.state.lock();
        let count = state.nodes.len();
        (count > 0).then(|| state.nodes.remove(pick as usize % count))
    }

    /// Something breaks. `number` names it for its end.
    pub(crate) fn begin(&self, number: usize, breakage: &Breakage) {
        self.state.lock().conditions.note(breakage);
        match breakage {
            Breakage::KillNode { pick } => {
                if let Some(node) = self.take_node(*pick) {
                    node.kill();
                }
            }
            Breakage::DrainNode { pick } => {
                if let Some(node) = self.take_node(*pick) {
                    self.start_node();
                    tokio::spawn(async move {
                        node.drain(DRAIN).await;
                        node.shutdown().await;
                    });
                }
            }
            Breakage::CacheForgets => self.memory.cache.lose_memory(),
            Breakage::CachePromoted => {
                let copy = self.memory.cache.snapshot();
                self.state.lock().copies.insert(number, copy);
            }
            Breakage::RegistryForgets => self.memory.registry.lose_memory(),
            Breakage::BrokerRestarts => self.memory.broker.restart(),
            lasting => {
                self.state.lock().broken.insert(number, lasting.clone());
                self.switch();
            }
        }
    }

    /// What broke is whole again.
    pub(crate) fn end(&self, number: usize, breakage: &Breakage) {
        match breakage {
            Breakage::KillNode { .. } => self.refill(),
            Breakage::CachePromoted => {
                let copy = self.state.lock().copies.remove(&number);
                if let Some(copy) = copy {
                    self.memory.cache.promote(copy);
                }
            }
            _ => {
                self.state.lock().broken.remove(&number);
                self.switch();
            }
        }
    }

    fn refill(&self) {
        while self.state.lock().nodes.len() < self.size {
            self.start_node();
        }
    }

    /// All faults end, and there are as many nodes as at the start.
    pub(crate) fn heal(&self) {
        self.state.lock().broken.clear();
        self.switch();
        self.refill();
    }

    /// What goes wrong when nothing is broken.
    fn fair(&self) -> Trouble {
        if self.weather.is_zero() {
            return Trouble::none();
        }
        Trouble::none().with_delay(Duration::ZERO..=self.weather)
    }

    /// Makes each part go wrong in all the ways that are on.
    fn switch(&self) {
        let mut troubles: BTreeMap<Part, Trouble> =
            [Part::Broker, Part::Store, Part::Cache, Part::Registry]
                .map(|part| (part, self.fair()))
                .into();
        for breakage in self.state.lock().broken.values() {
            let (part, add) = trouble(breakage);
            if let Some(trouble) = troubles.get_mut(&part) {
                *trouble = add(std::mem::take(trouble));
            }
        }
        for (part, trouble) in troubles {
            self.faults.set(part, trouble);
        }
    }

    /// Writes down how full everything is that can be asked without waiting.
    pub(crate) fn measure(&self, recorder: &Recorder) {
        let sessions: usize = self
            .state
            .lock()
            .nodes
            .iter()
            .map(Chat::session_count)
            .sum();
        sample(recorder, "sessions", sessions as u64, 10_000);
    }

    /// After the quiet time nothing may wait any longer.
    pub(crate) async fn measure_rest(&self, recorder: &Recorder) {
        let backlog = self.memory.broker.backlog().await.unwrap_or(u64::MAX);
        sample(recorder, "entries that the broker still holds", backlog, 0);
        let outbox = self.memory.cache.outbox_len().await.unwrap_or(u64::MAX);
        sample(recorder, "entries in the outbox at rest", outbox, 0);
        let dead = self.memory.broker.dead_letters().len() as u64;
        sample(recorder, "dead letters", dead, 0);
    }
}

fn sample(recorder: &Recorder, name: &str, value: u64, limit: u64) {
    recorder.note(What::Sample {
        name: name.to_owned(),
        value,
        limit,
    });
}

type Worse = Box<dyn FnOnce(Trouble) -> Trouble>;

fn trouble(breakage: &Breakage) -> (Part, Worse) {
    let part = |port: Port| match port {
        Port::Broker => Part::Broker,
        Port::Store => Part::Store,
        Port::Cache => Part::Cache,
        Port::Registry => Part::Registry,
    };
    let chance = |percent: u8| f64::from(percent) / 100.0;
    match *breakage {
        Breakage::LiveDrops { percent } => (
            Part::Broker,
            Box::new(move |worse| worse.with_lost_events(chance(percent))),
        ),
        Breakage::BrokerRepeats { percent } => (
            Part::Broker,
            Box::new(move |worse| worse.with_repeats(chance(percent))),
        ),
        Breakage::LiveReorders { percent } => (
            Part::Broker,
            Box::new(move |worse| {
                worse
                    .with_shuffling(chance(percent))
                    .with_events_held_back(chance(percent), LATE)
            }),
        ),
        Breakage::BrokerCuts { percent } => (
            Part::Broker,
            Box::new(move |worse| worse.with_cuts(chance(percent))),
        ),
        Breakage::Refuses { port, percent } => (
            part(port),
            Box::new(move |worse| worse.with_failures_before(chance(percent))),
        ),
        Breakage::FailsLate { port, percent } => (
            part(port),
            Box::new(move |worse| worse.with_failures_after(chance(percent))),
        ),
        Breakage::FailsMidway { port, percent } => (
            part(port),
            Box::new(move |worse| worse.with_failures_midway(chance(percent))),
        ),
        Breakage::Delays { port, ms } => (
            part(port),
            Box::new(move |worse| worse.with_delay(Duration::ZERO..=Duration::from_millis(ms))),
        ),
        Breakage::Hangs { port } => (part(port), Box::new(Trouble::with_hanging)),
        // These are over at once, or not the switchboard's.
        Breakage::KillNode { .. }
        | Breakage::DrainNode { .. }
        | Breakage::CacheForgets
        | Breakage::CachePromoted
        | Breakage::RegistryForgets
        | Breakage::BrokerRestarts => (Part::Broker, Box::new(|worse| worse)),
    }
}

impl Conditions {
    /// What this may do to a run.
    fn note(&mut self, breakage: &Breakage) {
        match breakage {
            Breakage::KillNode { .. } => self.node_killed = true,
            Breakage::CacheForgets | Breakage::CachePromoted => self.cache_forgot = true,
            Breakage::RegistryForgets | Breakage::DrainNode { .. } => {}
            Breakage::LiveDrops { .. }
            | Breakage::BrokerRepeats { .. }
            | Breakage::LiveReorders { .. }
            | Breakage::BrokerRestarts
            | Breakage::BrokerCuts { .. } => self.live_shuffled = true,
            Breakage::Refuses { port, .. }
            | Breakage::FailsLate { port, .. }
            | Breakage::FailsMidway { port, .. }
            | Breakage::Delays { port, .. }
            | Breakage::Hangs { port } => {
                self.port_refused = true;
                self.live_shuffled |= *port == Port::Broker;
            }
        }
    }
}
