//! The nodes of a run and the parts under them, and how they break.

use std::sync::Arc;
use std::time::Duration;

use darda_core::memory::{Clock, MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use darda_core::model::NodeId;
use darda_core::ports::{Broker, Cache};
use darda_core::{Chat, Options, Ports};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::history::{Conditions, What};
use crate::plan::{Breakage, Plan};
use crate::recorder::Recorder;

/// Where simulated time begins, in microseconds since the Unix epoch: any time will do.
const EPOCH_US: u64 = 1_700_000_000_000_000;
const QUEUE_LIMIT: usize = 2_000;
const LIVE_LIMIT: usize = 500;
const DRAIN: Duration = Duration::from_secs(5);

/// The nodes of a run and the parts under them.
#[derive(Debug)]
pub(crate) struct World {
    /// The parts themselves, behind what breaks them.
    pub(crate) memory: Memory,
    ports: Ports,
    options: Options,
    size: usize,
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
}

/// Tells the paused time as the time of day.
#[derive(Debug)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now_us(&self) -> u64 {
        EPOCH_US + u64::try_from(self.0.elapsed().as_micros()).unwrap_or(0)
    }
}

impl World {
    /// Parts that are whole, and the plan's nodes.
    #[must_use]
    pub(crate) fn new(plan: &Plan, recorder: &Recorder) -> Arc<Self> {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock(recorder.start()));
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
        let ports = Ports {
            broker: memory.broker.clone(),
            store: memory.store.clone(),
            cache: memory.cache.clone(),
            registry: memory.registry.clone(),
        };
        let options = Options::default()
            .without_rate_limits()
            .with_session_queue(plan.session_queue)
            .with_heads_every(Duration::from_secs(10))
            .with_reap_after(Duration::from_secs(5))
            .with_clock(clock);
        let state = Mutex::default();
        let world = Self {
            memory,
            ports,
            options,
            size: plan.nodes,
            state,
        };
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
        let node = Chat::start(self.ports.clone(), self.options.clone().with_node(name));
        state.nodes.push(node);
    }

    fn take_node(&self, pick: u32) -> Option<Chat> {
        let mut state = self.state.lock();
        let count = state.nodes.len();
        (count > 0).then(|| state.nodes.remove(pick as usize % count))
    }

    /// Something breaks. `number` names it for its end.
    pub(crate) fn begin(&self, _number: usize, breakage: &Breakage) {
        match breakage {
            Breakage::KillNode { pick } => {
                if let Some(node) = self.take_node(*pick) {
                    self.state.lock().conditions.node_killed = true;
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
            _ => {}
        }
    }

    /// What broke is whole again.
    pub(crate) fn end(&self, _number: usize, breakage: &Breakage) {
        if let Breakage::KillNode { .. } = breakage {
            self.refill();
        }
    }

    fn refill(&self) {
        while self.state.lock().nodes.len() < self.size {
            self.start_node();
        }
    }

    /// All faults end, and there are as many nodes as at the start.
    pub(crate) fn heal(&self) {
        self.refill();
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
