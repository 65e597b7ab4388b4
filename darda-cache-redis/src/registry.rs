//! The session registry: a lease for each node, and for each user a hash of sessions, each with the
//! lease that it was registered under. A session counts while that very lease lives, so that a node's
//! end is one write, and a new lease of the same node does not bring old sessions back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use darda_core::Result;
use darda_core::model::{NodeId, SessionId, UserId};
use darda_core::ports::{Lease, Presence, SessionRegistry};
use futures::future::{try_join, try_join_all};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::connection::{Call, Connection};
use crate::error::unexpected;
use crate::keys::Keys;
use crate::record::number;
use crate::sessions::Sessions;

/// How long a user's key and a node's are kept after the last change: a week of last-seen, and time
/// for the keys of living sessions to be kept.
const RETENTION: Duration = Duration::from_secs(16 * 24 * 60 * 60);
/// Nodes whose leases are asked for along with the users, before it is known whether they matter.
const FORESEEN: usize = 8;
/// The field of a user's hash that is no session.
const SEEN: &[u8] = b"seen";

/// The [`SessionRegistry`] on Redis.
#[derive(Debug)]
pub struct RedisRegistry {
    connection: Arc<Connection>,
    keys: Keys,
    lease: Duration,
    sessions: Sessions,
    /// Nodes that lived when they were last asked about; at most [`FORESEEN`].
    foreseen: Mutex<BTreeSet<NodeId>>,
}

/// What a node's key says.
#[derive(Debug, Clone)]
struct Node {
    token: Vec<u8>,
    lives: bool,
    ends_ms: u64,
    earlier_ended_ms: u64,
}

/// What a user's key says.
#[derive(Debug, Default)]
struct Registered {
    seen_ms: Option<u64>,
    sessions: Vec<Registration>,
}

#[derive(Debug)]
struct Registration {
    node: NodeId,
    field: Vec<u8>,
    token: Vec<u8>,
}

/// A session's field: the number first, since a node may be called anything.
fn field(session: &SessionId) -> Vec<u8> {
    format!("{}@{}", session.number, session.node).into_bytes()
}

fn registered(fields: HashMap<Vec<u8>, Vec<u8>>) -> Registered {
    let mut registered = Registered::default();
    for (field, value) in fields {
        if field == SEEN {
            registered.seen_ms = number(&value);
            continue;
        }
        let node = std::str::from_utf8(&field).ok();
        if let Some((_, node)) = node.and_then(|field| field.split_once('@')) {
            registered.sessions.push(Registration {
                node: NodeId::new(node),
                field,
                token: value,
            });
        }
    }
    registered
}

impl Registered {
    fn living<'a>(
        &'a self,
        nodes: &'a HashMap<NodeId, Option<Node>>,
    ) -> impl Iterator<Item = &'a NodeId> {
        let living = self.sessions.iter().filter(|session| {
            let node = nodes.get(&session.node).and_then(Option::as_ref);
            node.is_some_and(|node| node.lives && node.token == session.token)
        });
        living.map(|session| &session.node)
    }

    /// The sessions that have ended without being unregistered, and when the last one did.
    fn ended(&self, nodes: &HashMap<NodeId, Option<Node>>) -> (Option<u64>, Vec<&Registration>) {
        let (mut last, mut ended) = (None, Vec::new());
        for session in &self.sessions {
            let at = match nodes.get(&session.node).and_then(Option::as_ref) {
                Some(node) if node.token == session.token => {
                    if node.lives {
                        continue;
                    }
                    Some(node.ends_ms)
                }
                Some(node) => Some(node.earlier_ended_ms),
                None => None,
            };
            last = last.max(at);
            ended.push(session);
        }
        (last, ended)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl RedisRegistry {
    pub(crate) fn new(connection: Arc<Connection>, keys: Keys, lease: Duration) -> Self {
        Self {
            connection,
            keys,
            lease,
            sessions: Sessions::default(),
            foreseen: Mutex::default(),
        }
    }

    /// Renews, registers under, or ends a node's lease.
    async fn change_lease(&self, node: &NodeId, change: &str) -> Result<(Lease, Vec<u8>)> {
        let call = Call::new(&self.connection.scripts.lease, [self.keys.node(node)])
            .arg(change)
            .arg(milliseconds(self.lease))
            .arg(milliseconds(RETENTION))
            .arg(format!("{:016x}", fastrand::u64(..)));
        let (answer, token): (Vec<u8>, Vec<u8>) = self.connection.call(call).await?;
        let lease = match answer.as_slice() {
            b"held" => Lease::Held,
            _ => Lease::Forgotten,
        };
        Ok((lease, token))
    }

    async fn node(&self, node: NodeId) -> Result<(NodeId, Option<Node>)> {
        let call = Call::new(&self.connection.scripts.node, [self.keys.node(&node)]);
        let said: Vec<Vec<u8>> = self.connection.call(call).await?;
        let state = match said.as_slice() {
            [] => None,
            [token, lives, ends, earlier] => Some(Node {
                token: token.clone(),
                lives: lives == b"1",
                ends_ms: number(ends).ok_or_else(unexpected)?,
                earlier_ended_ms: number(earlier).ok_or_else(unexpected)?,
            }),
            _ => return Err(unexpected()),
        };
        Ok((node, state))
    }

    /// What is registered of users, and the nodes it names. One round trip where the nodes are
    /// foreseen, else two.
    async fn look_up(
        &self,
        users: &[UserId],
    ) -> Result<(Vec<Registered>, HashMap<NodeId, Option<Node>>)> {
        let ask = |user| async move {
            let mut all = redis::cmd("HGETALL");
            all.arg(self.keys.user(user));
            Ok(registered(self.connection.command(&all).await?))
        };
        let foreseen: Vec<_> = self.foreseen.lock().iter().cloned().collect();
        let (users, nodes) = try_join(
            try_join_all(users.iter().map(ask)),
            try_join_all(foreseen.into_iter().map(|node| self.node(node))),
        )
        .await?;
        let mut nodes: HashMap<_, _> = nodes.into_iter().collect();
        let named = users.iter().flat_map(|user| &user.sessions);
        let named: BTreeSet<_> = named.map(|session| &session.node).collect();
        let missing = named.into_iter().filter(|node| !nodes.contains_key(*node));
        let missing: Vec<_> = missing.cloned().collect();
        if !missing.is_empty() {
            let asked = try_join_all(missing.into_iter().map(|node| self.node(node))).await?;
            nodes.extend(asked);
        }
        let mut foreseen = self.foreseen.lock();
        for (node, state) in &nodes {
            let lives = state.as_ref().is_some_and(|state| state.lives);
            if !lives {
                foreseen.remove(node);
            } else if foreseen.len() < FORESEEN {
                foreseen.insert(node.clone());
            }
        }
        drop(foreseen);
        Ok((users, nodes))
    }

    /// Takes out what has ended, so that a user's key does not grow with each node that dies. The
    /// answer that found it stands whether this succeeds or not.
    async fn sweep(
        &self,
        users: &[UserId],
        registered: &[Registered],
        nodes: &HashMap<NodeId, Option<Node>>,
    ) {
        let mut of_ended = BTreeSet::new();
        for user in registered {
            let (_, ended) = user.ended(nodes);
            of_ended.extend(ended.into_iter().map(|session| session.node.clone()));
        }
        if of_ended.is_empty() {
            return;
        }
        if let Err(error) = self.sweep_of(users, registered, of_ended).await {
            tracing::debug!(%error, "ended sessions stay in redis for now");
        }
    }

    async fn sweep_of(
        &self,
        users: &[UserId],
        registered: &[Registered],
        nodes: BTreeSet<NodeId>,
    ) -> Result<()> {
        // Asked again: a node's lease may be younger than the first answer about it, and sessions
        // registered under it since. What has ended now has ended for ever.
        let nodes = try_join_all(nodes.into_iter().map(|node| self.node(node))).await?;
        let nodes: HashMap<_, _> = nodes.into_iter().collect();
        let sweep = |(user, registered): (&UserId, &Registered)| {
            let (last, mut ended) = registered.ended(&nodes);
            ended.retain(|session| nodes.contains_key(&session.node));
            if ended.is_empty() {
                return None;
            }
            let mut call = Call::new(&self.connection.scripts.sweep, [self.keys.user(user)])
                .arg(milliseconds(RETENTION))
                .arg(last.unwrap_or_default());
            for session in ended {
                call.push(&session.field);
                call.push(&session.token);
            }
            Some(self.connection.call::<()>(call))
        };
        let sweeps = users.iter().zip(registered).filter_map(sweep);
        try_join_all(sweeps).await.map(drop)
    }

    /// Keeps the keys of sessions that have lived for long.
    async fn keep(&self, node: &NodeId) -> Result<()> {
        let keep = |user| async move {
            let mut expire = redis::cmd("PEXPIRE");
            expire
                .arg(self.keys.user(&user))
                .arg(milliseconds(RETENTION));
            self.connection.command::<()>(&expire).await
        };
        let users = self.sessions.slice(node, Instant::now());
        try_join_all(users.into_iter().map(keep)).await.map(drop)
    }
}

#[async_trait]
impl SessionRegistry for RedisRegistry {
    fn lease(&self) -> Duration {
        self.lease
    }

    async fn register(&self, node: NodeId, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        let (_, token) = self.change_lease(&node, "register").await?;
        self.sessions.add(&node, &sessions);
        let mut by_user: BTreeMap<&UserId, Vec<Vec<u8>>> = BTreeMap::new();
        for (user, session) in &sessions {
            by_user.entry(user).or_default().push(field(session));
        }
        let register = |(user, fields): (&UserId, Vec<Vec<u8>>)| {
            let call = Call::new(&self.connection.scripts.register, [self.keys.user(user)])
                .arg(milliseconds(RETENTION))
                .arg(&token)
                .arg(fields);
            self.connection.call::<()>(call)
        };
        try_join_all(by_user.into_iter().map(register))
            .await
            .map(drop)
    }

    async fn unregister(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        self.sessions
            .remove(sessions.iter().map(|(_, session)| session));
        let mut by_user: BTreeMap<&UserId, Vec<Vec<u8>>> = BTreeMap::new();
        for (user, session) in &sessions {
            by_user.entry(user).or_default().push(field(session));
        }
        let unregister = |(user, fields): (&UserId, Vec<Vec<u8>>)| {
            let call = Call::new(&self.connection.scripts.unregister, [self.keys.user(user)])
                .arg(milliseconds(RETENTION))
                .arg(fields);
            self.connection.call::<()>(call)
        };
        try_join_all(by_user.into_iter().map(unregister))
            .await
            .map(drop)
    }

    async fn renew(&self, node: NodeId) -> Result<Lease> {
        let (lease, _) = self.change_lease(&node, "renew").await?;
        if let Err(error) = self.keep(&node).await {
            tracing::debug!(%error, "keys of sessions are kept later");
        }
        Ok(lease)
    }

    async fn remove_node(&self, node: NodeId) -> Result<()> {
        self.sessions.remove_node(&node);
        self.change_lease(&node, "remove").await.map(drop)
    }

    async fn nodes_of(&self, users: Vec<UserId>) -> Result<Vec<NodeId>> {
        let (registered, nodes) = self.look_up(&users).await?;
        self.sweep(&users, &registered, &nodes).await;
        let living = registered.iter().flat_map(|user| user.living(&nodes));
        let living: BTreeSet<_> = living.collect();
        Ok(living.into_iter().cloned().collect())
    }

    async fn presence(&self, users: Vec<UserId>) -> Result<Vec<Presence>> {
        let (registered, nodes) = self.look_up(&users).await?;
        self.sweep(&users, &registered, &nodes).await;
        let presence = |user: &Registered| {
            if user.living(&nodes).next().is_some() {
                return Presence::Online;
            }
            let (ended, _) = user.ended(&nodes);
            Presence::Offline {
                last_seen_ms: user.seen_ms.max(ended),
            }
        };
        Ok(registered.iter().map(presence).collect())
    }
}
