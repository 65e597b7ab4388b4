//! Who is connected where, and presence.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{NodeId, SessionId, UserId};

/// Whether a user is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// At least one session lives.
    Online,
    /// None does.
    Offline {
        /// When the last one ended, in milliseconds since the Unix epoch, if that is remembered.
        last_seen_ms: Option<u64>,
    },
}

/// What the registry said to a node's renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The node's sessions are registered as before.
    Held,
    /// The lease was not known: it ran out, or the registry lost its memory. The node's sessions are
    /// not registered; register them again.
    Forgotten,
}

/// Who is connected where; presence.
///
/// # Contract
/// To be correct,
/// - a registered session counts from the moment its `register` returned until it is unregistered,
///   its node is removed, or its node's lease runs out;
/// - a lease lasts for [`lease`](Self::lease) after the node's last `renew`, which every `register`
///   does too;
/// - a node whose lease ran out is in no answer, at the latest twice the lease later;
/// - the registry may forget everything at any time: [`renew`](Self::renew) says so, once;
/// - a user's last-seen time is kept for at least a week.
///
/// # Errors
/// `Unavailable` when the registry does not answer.
///
/// # Cancellation
/// A dropped call may have taken effect. Repeating it is safe.
///
/// # Ordering
/// Calls about one session take effect in the order in which they are made, one after another.
#[async_trait]
pub trait SessionRegistry: Debug + Send + Sync + 'static {
    /// How long a node counts as alive without a renewal. A node renews three times within it.
    fn lease(&self) -> Duration;

    /// Registers sessions of one node.
    async fn register(&self, node: NodeId, sessions: Vec<(UserId, SessionId)>) -> Result<()>;

    /// Ends sessions.
    async fn unregister(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()>;

    /// Says that a node lives.
    async fn renew(&self, node: NodeId) -> Result<Lease>;

    /// Ends all sessions of a node.
    async fn remove_node(&self, node: NodeId) -> Result<()>;

    /// The nodes that hold sessions of any of these users, each once, in the order of their ids.
    async fn nodes_of(&self, users: Vec<UserId>) -> Result<Vec<NodeId>>;

    /// The users' presence, in the order asked.
    async fn presence(&self, users: Vec<UserId>) -> Result<Vec<Presence>>;
}
