//! The in-memory session registry: sessions by node and by user, and when a user was last seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::time::Instant;

use super::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::model::{NodeId, SessionId, UserId};
use crate::ports::{Lease, Presence, SessionRegistry};

const DEFAULT_LEASE: Duration = Duration::from_secs(15);
const SEEN_FOR_MS: u64 = 8 * 24 * 60 * 60 * 1000;
/// Users whose last-seen time is kept; above, the times longest ago are forgotten.
const SEEN_USERS: usize = 1_000_000;

/// The [`SessionRegistry`] in memory.
#[derive(Debug)]
pub struct MemoryRegistry {
    state: RwLock<State>,
    clock: Arc<dyn Clock>,
    lease: Duration,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<NodeId, Node>,
    /// How many sessions a user has on each node.
    users: HashMap<UserId, BTreeMap<NodeId, usize>>,
    seen: HashMap<UserId, u64>,
    seen_by_age: BTreeSet<(u64, UserId)>,
}

#[derive(Debug)]
struct Node {
    expires: Instant,
    /// Whether the node was told that it holds a lease. Until then a renewal says `Forgotten`: a
    /// registration after a loss must not make the node believe that its other sessions are kept.
    told: bool,
    sessions: HashMap<u64, UserId>,
}

impl MemoryRegistry {
    /// An empty registry that goes by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty registry that takes last-seen times from this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: RwLock::default(),
            clock,
            lease: DEFAULT_LEASE,
        }
    }

    /// How long a node counts as alive without a renewal; default 15 s.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Forgets everything, as a restart without persistence does.
    #[cfg(feature = "faults")]
    pub fn lose_memory(&self) {
        *self.state.write() = State::default();
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_us() / 1000
    }

    /// Changes the state, after the nodes whose leases ran out are gone.
    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write();
        state.expire(Instant::now(), self.now_ms());
        write(&mut state)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        let state = self.state.read();
        let now = Instant::now();
        if !state.nodes.values().any(|node| node.expires <= now) {
            return state;
        }
        drop(state);
        self.write(|_| ());
        self.state.read()
    }
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn expire(&mut self, now: Instant, now_ms: u64) {
        let expired = self.nodes.iter().filter(|(_, node)| node.expires <= now);
        let expired: Vec<_> = expired
            .map(|(id, node)| (id.clone(), node.expires))
            .collect();
        for (node, expires) in expired {
            let ago = u64::try_from((now - expires).as_millis()).unwrap_or(u64::MAX);
            self.remove_node(&node, now_ms.saturating_sub(ago));
        }
    }

    fn node(&mut self, id: &NodeId, expires: Instant) -> &mut Node {
        let new = || Node {
            expires,
            told: false,
            sessions: HashMap::new(),
        };
        let node = self.nodes.entry(id.clone()).or_insert_with(new);
        node.expires = expires;
        node
    }

    fn register(&mut self, node: &NodeId, user: UserId, session: &SessionId, now_ms: u64) {
        let Some(sessions) = self.nodes.get_mut(node).map(|node| &mut node.sessions) else {
            return;
        };
        let before = sessions.insert(session.number, user.clone());
        let nodes = self.users.entry(user).or_default();
        *nodes.entry(node.clone()).or_default() += 1;
        if let Some(before) = before {
            self.leave(node, &before, now_ms);
        }
    }

    fn unregister(&mut self, session: &SessionId, now_ms: u64) {
        let node = self.nodes.get_mut(&session.node);
        if let Some(user) = node.and_then(|node| node.sessions.remove(&session.number)) {
            self.leave(&session.node, &user, now_ms);
        }
    }

    fn remove_node(&mut self, id: &NodeId, now_ms: u64) {
        if let Some(node) = self.nodes.remove(id) {
            for user in node.sessions.into_values() {
                self.leave(id, &user, now_ms);
            }
        }
    }

    /// One of a user's sessions on a node has ended.
    fn leave(&mut self, node: &NodeId, user: &UserId, now_ms: u64) {
        let Some(nodes) = self.users.get_mut(user) else {
            return;
        };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.users.remove(user);
            self.see(user, now_ms);
        }
    }

    fn see(&mut self, user: &UserId, now_ms: u64) {
        if let Some(before) = self.seen.insert(user.clone(), now_ms) {
            self.seen_by_age.remove(&(before, user.clone()));
        }
        self.seen_by_age.insert((now_ms, user.clone()));
        while let Some((seen, user)) = self.seen_by_age.pop_first() {
            if self.seen_by_age.len() < SEEN_USERS && seen + SEEN_FOR_MS >= now_ms {
                self.seen_by_age.insert((seen, user));
                break;
            }
            self.seen.remove(&user);
        }
    }
}

#[async_trait]
impl SessionRegistry for MemoryRegistry {
    fn lease(&self) -> Duration {
        self.lease
    }

    async fn register(&self, node: NodeId, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        let now_ms = self.now_ms();
        self.write(|state| {
            state.node(&node, Instant::now() + self.lease);
            for (user, session) in sessions {
                state.register(&node, user, &session, now_ms);
            }
        });
        Ok(())
    }

    async fn unregister(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        let now_ms = self.now_ms();
        self.write(|state| {
            for (_, session) in sessions {
                state.unregister(&session, now_ms);
            }
        });
        Ok(())
    }

    async fn renew(&self, node: NodeId) -> Result<Lease> {
        Ok(self.write(|state| {
            let node = state.node(&node, Instant::now() + self.lease);
            let told = std::mem::replace(&mut node.told, true);
            if told { Lease::Held } else { Lease::Forgotten }
        }))
    }

    async fn remove_node(&self, node: NodeId) -> Result<()> {
        let now_ms = self.now_ms();
        self.write(|state| state.remove_node(&node, now_ms));
        Ok(())
    }

    async fn nodes_of(&self, users: Vec<UserId>) -> Result<Vec<NodeId>> {
        let state = self.read();
        let nodes = users.iter().filter_map(|user| state.users.get(user));
        let nodes: BTreeSet<_> = nodes.flat_map(BTreeMap::keys).collect();
        Ok(nodes.into_iter().cloned().collect())
    }

    async fn presence(&self, users: Vec<UserId>) -> Result<Vec<Presence>> {
        let state = self.read();
        let presence = |user: &UserId| match state.users.get(user) {
            Some(_) => Presence::Online,
            None => Presence::Offline {
                last_seen_ms: state.seen.get(user).copied(),
            },
        };
        Ok(users.iter().map(presence).collect())
    }
}
