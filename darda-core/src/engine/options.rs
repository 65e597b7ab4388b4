//! The settings of a node, with their defaults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::memory::{Clock, SystemClock};
use crate::model::NodeId;
use crate::ports::EventBody;

/// Which work a node takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roles {
    /// Serves sessions and writes what the broker hands over.
    #[default]
    Both,
    /// Serves sessions only.
    Gateway,
    /// Writes only.
    Writer,
}

impl Roles {
    pub(crate) fn serves(self) -> bool {
        self != Self::Writer
    }

    pub(crate) fn writes(self) -> bool {
        self != Self::Gateway
    }
}

/// A rate limit: so many a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Sustained, per second; at least 1.
    pub per_second: u32,
    /// At once; at least 1.
    pub burst: u32,
}

/// Makes the encoding of an event. It is called at most once per event and node.
#[derive(Clone)]
pub struct Encoder(pub(crate) Arc<dyn Fn(&EventBody) -> Bytes + Send + Sync>);

impl Encoder {
    /// An encoder that is this function.
    pub fn new(encode: impl Fn(&EventBody) -> Bytes + Send + Sync + 'static) -> Self {
        Self(Arc::new(encode))
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

/// The settings of a node.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The node's name. Default: drawn at start.
    pub node: Option<NodeId>,
    /// Default: both.
    pub roles: Roles,
    /// How long a request waits for the ports before it fails as `unavailable`. Default: 5 s.
    pub request_timeout: Duration,
    /// Events that wait for one session; at the limit its backlog is dropped and it is told by
    /// [`EventBody::Gap`]. Default: 1,024.
    pub session_queue: usize,
    /// Entries that wait for the broker in this node, live events that wait for it, and live events that
    /// are kept until it is there again: of each so many. At the limit sends fail as `busy`, and live
    /// events are dropped and counted. Default: 16,384.
    pub publish_queue: usize,
    /// What one user may send, over all sessions on this node. Default: 50 a second, 200 at once.
    pub user_rate: Option<Rate>,
    /// Requests of one session. Default: 100 a second, 400 at once.
    pub session_rate: Option<Rate>,
    /// How often a session's list of conversations is read again and it is told their heads.
    /// Default: 30 s.
    pub heads_every: Duration,
    /// How long the nodes of a conversation's members are remembered. Default: 1 s.
    pub route_ttl: Duration,
    /// How long marks are gathered before they are written and passed on; in proportion longer in
    /// conversations of more than 50 members, 20 times at the most. Default: 100 ms.
    pub receipt_window: Duration,
    /// How long an entry may stay unstored before it is handed over again. Default: 10 s.
    pub reap_after: Duration,
    /// How long a writer that keeps up gathers entries before it stores them: counted from where it
    /// began its last batch, so that the first one after a pause waits for nothing. With 64 it waits for
    /// no more. Default: 100 ms.
    pub writer_window: Duration,
    /// Entries that the writer stores at once. Default: 1,000.
    pub writer_batch: usize,
    /// Conversations whose members this node remembers. Default: 10,000.
    pub members_cached: usize,
    /// What the time is. Default: the system's clock.
    pub clock: Arc<dyn Clock>,
    /// The encoding of events that is passed on with them. Default: none.
    pub encoder: Option<Encoder>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: None,
            roles: Roles::Both,
            request_timeout: Duration::from_secs(5),
            session_queue: 1024,
            publish_queue: 16_384,
            user_rate: Some(Rate {
                per_second: 50,
                burst: 200,
            }),
            session_rate: Some(Rate {
                per_second: 100,
                burst: 400,
            }),
            heads_every: Duration::from_secs(30),
            route_ttl: Duration::from_secs(1),
            receipt_window: Duration::from_millis(100),
            reap_after: Duration::from_secs(10),
            writer_window: Duration::from_millis(100),
            writer_batch: 1000,
            members_cached: 10_000,
            clock: Arc::new(SystemClock),
            encoder: None,
        }
    }
}

macro_rules! with {
    ($(#[$doc:meta])* $name:ident, $field:ident: $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    };
}

impl Options {
    with!(
        /// Sets [`node`](Self::node).
        with_node, node: NodeId
    );
    with!(
        /// Sets [`roles`](Self::roles).
        with_roles, roles: Roles
    );
    with!(
        /// Sets [`request_timeout`](Self::request_timeout).
        with_request_timeout, request_timeout: Duration
    );
    with!(
        /// Sets [`session_queue`](Self::session_queue).
        with_session_queue, session_queue: usize
    );
    with!(
        /// Sets [`publish_queue`](Self::publish_queue).
        with_publish_queue, publish_queue: usize
    );
    with!(
        /// Sets [`user_rate`](Self::user_rate).
        with_user_rate, user_rate: Rate
    );
    with!(
        /// Sets [`session_rate`](Self::session_rate).
        with_session_rate, session_rate: Rate
    );
    with!(
        /// Sets [`heads_every`](Self::heads_every).
        with_heads_every, heads_every: Duration
    );
    with!(
        /// Sets [`receipt_window`](Self::receipt_window).
        with_receipt_window, receipt_window: Duration
    );
    with!(
        /// Sets [`reap_after`](Self::reap_after).
        with_reap_after, reap_after: Duration
    );
    with!(
        /// Sets [`writer_window`](Self::writer_window).
        with_writer_window, writer_window: Duration
    );
    with!(
        /// Sets [`clock`](Self::clock).
        with_clock, clock: Arc<dyn Clock>
    );
    with!(
        /// Sets [`encoder`](Self::encoder).
        with_encoder, encoder: Encoder
    );

    /// Switches both rate limits off.
    #[must_use]
    pub fn without_rate_limits(mut self) -> Self {
        self.user_rate = None;
        self.session_rate = None;
        self
    }
}
