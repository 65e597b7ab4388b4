//! The handle of a node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::node::Node;
use super::options::Options;
use super::session::Session;
use super::surface::PortHealth;
use super::visit::Visit;
use super::{handover, live, publish, pulse, reaper, receipts, registrar, writer};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{MemoryBroker, MemoryCache, MemoryRegistry, MemoryStore};
use crate::model::{ConversationId, NodeId, UserId};
use crate::ports::{Broker, Cache, EventBody, SessionRegistry, Store};
use crate::resilience::{
    Breaker, Breakers, Resilience, ResilientBroker, ResilientCache, ResilientRegistry,
    ResilientStore,
};

/// How long a port may take to show that it is there: whoever asks for a node's health gives up
/// after a second, as a rule, and would take the node for dead.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the registry may take to take a node out that stops.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a draining node looks whether its sessions have gone.
const DRAIN_TICK: Duration = Duration::from_millis(50);

/// What a chat stands on.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Hands entries over, and events from node to node.
    pub broker: Arc<dyn Broker>,
    /// Keeps the log.
    pub store: Arc<dyn Store>,
    /// Gives positions.
    pub cache: Arc<dyn Cache>,
    /// Knows who is connected where.
    pub registry: Arc<dyn SessionRegistry>,
    /// Breakers of the ports that have one: [`Chat::health`] tells of them.
    pub breakers: Breakers,
}

impl Ports {
    /// These four, as they are.
    #[must_use]
    pub fn new(
        broker: Arc<dyn Broker>,
        store: Arc<dyn Store>,
        cache: Arc<dyn Cache>,
        registry: Arc<dyn SessionRegistry>,
    ) -> Self {
        Self {
            broker,
            store,
            cache,
            registry,
            breakers: Breakers::default(),
        }
    }

    /// Four fresh in-memory implementations. All nodes that get a clone share them.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(
            Arc::new(MemoryBroker::new()),
            Arc::new(MemoryStore::new()),
            Arc::new(MemoryCache::new()),
            Arc::new(MemoryRegistry::new()),
        )
    }

    /// The same ports with a time limit, retries and a breaker around each call. Clones share the
    /// breakers, so wrap once for each node.
    #[must_use]
    pub fn resilient(self, settings: &Resilience) -> Self {
        let broker = Arc::new(ResilientBroker::new(self.broker, settings));
        let store = Arc::new(ResilientStore::new(self.store, settings));
        let cache = Arc::new(ResilientCache::new(self.cache, settings));
        let registry = Arc::new(ResilientRegistry::new(self.registry, settings));
        let breakers = Breakers {
            broker: Some(broker.breaker()),
            store: Some(store.breaker()),
            cache: Some(cache.breaker()),
            registry: Some(registry.breaker()),
        };
        Self {
            broker,
            store,
            cache,
            registry,
            breakers,
        }
    }
}

/// A node of the chat. Cloning gives another handle of the same node; it runs until
/// [`shutdown`](Self::shutdown) or the end of the runtime.
#[derive(Debug, Clone)]
pub struct Chat {
    node: Arc<Node>,
}

impl Chat {
    /// A node on memory ports of its own, with the default options. Call it within a Tokio runtime.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::start(Ports::in_memory(), Options::default())
    }

    /// Starts a node. Call it within a Tokio runtime whose time is enabled.
    #[must_use]
    pub fn start(ports: Ports, options: Options) -> Self {
        let roles = options.roles;
        let (node, inboxes) = Node::new(ports, options);
        node.spawn(handover::run(node.clone(), inboxes.handover));
        node.spawn(publish::run(node.clone(), inboxes.publish));
        if roles.serves() {
            node.spawn(registrar::run(node.clone(), inboxes.unregister));
            node.spawn(pulse::renew_lease(node.clone()));
            node.spawn(pulse::run(node.clone()));
            node.spawn(live::run(node.clone()));
            node.spawn(receipts::run(node.clone()));
        }
        if roles.writes() {
            node.spawn(writer::run(node.clone()));
            node.spawn(reaper::run(node.clone()));
        }
        Self { node }
    }

    /// Begins a session of a user, whose identity the caller vouches for.
    ///
    /// It succeeds while ports are away: what it could not load it makes up for later.
    ///
    /// # Errors
    /// `Unavailable` when the node is draining, `Closed` when it has stopped, `Invalid` when its
    /// role is to write only.
    pub async fn connect(&self, user: UserId) -> Result<Session> {
        self.check_serves()?;
        if self.is_draining() {
            return Err(Error::unavailable(
                "the node is draining, connect to another one",
            ));
        }
        Session::begin(self.node.clone(), user).await
    }

    /// Lets a user, whose identity the caller vouches for, ask without being connected. Unlike a
    /// session, it is let in while the node drains, and costs the ports nothing by itself.
    ///
    /// # Errors
    /// `Closed` when the node has stopped, `Invalid` when its role is to write only.
    pub fn visit(&self, user: UserId) -> Result<Visit> {
        self.check_serves()?;
        Ok(Visit::begin(self.node.clone(), user))
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node.id
    }

    /// Whether the node wants to get rid of its sessions.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.node.draining.load(Ordering::Relaxed)
    }

    /// Live sessions of this node.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.node.sessions.len()
    }

    /// Asks the sessions to move to other nodes, one after another over four fifths of `grace`, each
    /// within a fifth of it, so that they come to the others evenly. Ends those that are left when it is
    /// over. Returns when none is left. New sessions are refused, [visits](Self::visit) are not.
    pub async fn drain(&self, grace: Duration) {
        self.node.draining.store(true, Ordering::Relaxed);
        let start = Instant::now();
        let end = start + grace;
        let sessions = self.node.sessions.all();
        let share = grace.mul_f64(0.8) / u32::try_from(sessions.len().max(1)).unwrap_or(u32::MAX);
        for (index, session) in (0_u32..).zip(sessions) {
            sleep_until(start + share * index).await;
            let left = end.saturating_duration_since(Instant::now());
            let reconnect_within = left.min(grace / 5);
            session.tell(
                EventBody::Draining { reconnect_within }.into(),
                &self.node.instruments,
            );
        }
        while self.session_count() > 0 && Instant::now() < end {
            tokio::time::sleep(DRAIN_TICK).await;
        }
        self.close_sessions();
    }

    /// Ends all sessions, hands over what waits, writes pending marks, lets the writer finish its
    /// batch, and stops. Bounded by a few request timeouts.
    pub async fn shutdown(&self) {
        self.node.draining.store(true, Ordering::Relaxed);
        self.close_sessions();
        self.node.stop.cancel();
        self.node.tasks.close();
        let bound = self.node.options.request_timeout * 4;
        if tokio::time::timeout(bound, self.node.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("tasks did not stop in time: they are cut off");
        }
        self.node.killed.cancel();
        if self.node.options.roles.serves() {
            let gone = self.node.ports.registry.remove_node(self.node.id.clone());
            let _ = tokio::time::timeout(GOODBYE_TIMEOUT, gone).await;
        }
    }

    /// Stops everything at once and without a goodbye, as if the process had died.
    #[cfg(feature = "faults")]
    pub fn kill(&self) {
        self.node.killed.cancel();
        self.close_sessions();
    }

    fn check_serves(&self) -> Result<()> {
        if !self.node.options.roles.serves() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "this node serves no sessions",
            ));
        }
        if self.node.stop.is_cancelled() || self.node.killed.is_cancelled() {
            return Err(Error::new(ErrorKind::Closed, "the node has stopped"));
        }
        Ok(())
    }

    fn close_sessions(&self) {
        for session in self.node.sessions.all() {
            session.queue.close();
        }
    }

    /// Asks each port whether it is there, all at once; within 500 ms.
    ///
    /// No port keeps a node from being of use: without the store it serves what is live, without the
    /// cache what is stored, and without the broker it can still be read from. Take a node from its
    /// users when it [drains](Self::is_draining), not when a port is away: all nodes share the
    /// ports, and would all be taken at once.
    pub async fn health(&self) -> Vec<PortHealth> {
        let ports = &self.node.ports;
        let nobody = ConversationId::from_bytes([0; 16]);
        let breakers = &ports.breakers;
        let (broker, store, cache, registry) = tokio::join!(
            probe("broker", &breakers.broker, async {
                // The second is the way of live events, and nothing to tell.
                let broker = &ports.broker;
                tokio::try_join!(broker.backlog(), broker.publish(Vec::new())).map(drop)
            }),
            probe("store", &breakers.store, async {
                ports.store.members(nobody).await.map(drop)
            }),
            probe("cache", &breakers.cache, async {
                ports.cache.outbox_len().await.map(drop)
            }),
            probe("registry", &breakers.registry, async {
                let user = UserId::new("health").map_err(|error| {
                    Error::new(ErrorKind::Internal, "not a user id").with_source(error)
                })?;
                ports.registry.presence(vec![user]).await.map(drop)
            }),
        );
        vec![broker, store, cache, registry]
    }
}

async fn probe(
    port: &'static str,
    breaker: &Option<Breaker>,
    call: impl Future<Output = Result<()>>,
) -> PortHealth {
    let (ok, detail) = match tokio::time::timeout(HEALTH_TIMEOUT, call).await {
        Ok(Ok(())) => (true, String::new()),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("no answer within {HEALTH_TIMEOUT:?}")),
    };
    PortHealth {
        port,
        ok,
        detail,
        breaker: breaker.as_ref().map(Breaker::state),
    }
}
