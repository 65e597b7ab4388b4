//! A fleet: gateways and a writer of the real engine, over memory ports that count.

use std::sync::Arc;
use std::time::Duration;

use darda_core::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use darda_core::model::NodeId;
use darda_core::{Chat, Options, Ports, Roles};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::counting::Counting;
use super::counts::Counts;
use crate::clock::PausedClock;

/// Entries that wait to be stored: no scenario may be refused by it.
const QUEUE: usize = 1_000_000;
/// Conversations whose members a gateway remembers: fewer than by default, since a thousand gateways
/// share one process. No scenario comes near it.
const MEMBERS_CACHED: usize = 2_000;

#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) counts: Counts,
    pub(super) broker: Arc<MemoryBroker>,
    pub(super) registry: Arc<MemoryRegistry>,
    ports: Ports,
    options: Options,
    nodes: Mutex<Nodes>,
}

#[derive(Debug, Default)]
struct Nodes {
    living: Vec<Chat>,
    started: usize,
}

impl Fleet {
    /// So many gateways and writers. `heads_every`: how often each session is told its heads.
    pub(super) fn start(gateways: usize, writers: usize, heads_every: Duration) -> Arc<Self> {
        let clock = Arc::new(PausedClock::since(Instant::now()));
        let counts = Counts::new();
        let broker = Arc::new(
            MemoryBroker::new()
                .with_queue_limit(QUEUE)
                .with_live_limit(QUEUE),
        );
        let registry = Arc::new(MemoryRegistry::with_clock(clock.clone()));
        let cache = MemoryCache::with_clock(clock.clone()).with_log_limit(QUEUE);
        let ports = Ports::new(
            Arc::new(Counting::new(broker.clone(), counts.clone())),
            Arc::new(Counting::new(Arc::new(MemoryStore::new()), counts.clone())),
            Arc::new(Counting::new(Arc::new(cache), counts.clone())),
            Arc::new(Counting::new(registry.clone(), counts.clone())),
        );
        let mut options = Options::default()
            .without_rate_limits()
            .with_heads_every(heads_every)
            .with_clock(clock);
        options.members_cached = MEMBERS_CACHED;
        for number in 1..=writers {
            let options = options.clone().with_roles(Roles::Writer);
            let name = NodeId::new(format!("writer{number}"));
            // It runs as long as the runtime.
            drop(Chat::start(ports.clone(), options.with_node(name)));
        }
        let fleet = Self {
            counts,
            broker,
            registry,
            ports,
            options,
            nodes: Mutex::default(),
        };
        (0..gateways).for_each(|_| drop(fleet.add()));
        Arc::new(fleet)
    }

    /// One more gateway.
    pub(super) fn add(&self) -> Chat {
        let mut nodes = self.nodes.lock();
        nodes.started += 1;
        let gateway = self.gateway(&format!("gateway{}", nodes.started));
        nodes.living.push(gateway.clone());
        gateway
    }

    /// A gateway that nobody connects to but the caller.
    pub(super) fn gateway(&self, name: &str) -> Chat {
        let options = self.options.clone().with_roles(Roles::Gateway);
        Chat::start(self.ports.clone(), options.with_node(NodeId::new(name)))
    }

    pub(super) fn living(&self) -> Vec<Chat> {
        self.nodes.lock().living.clone()
    }

    /// One that lives, drawn.
    pub(super) fn any(&self, random: &mut fastrand::Rng) -> Chat {
        let nodes = self.nodes.lock();
        nodes.living[random.usize(..nodes.living.len())].clone()
    }

    /// Takes the gateways out that have lived longest: nobody connects to them any longer.
    pub(super) fn take_oldest(&self, count: usize) -> Vec<Chat> {
        let mut nodes = self.nodes.lock();
        let count = count.min(nodes.living.len());
        nodes.living.drain(..count).collect()
    }
}
