//! What the broker is connected with.

use std::fmt;
use std::time::Duration;

use darda_core::adapter::{Redacted, Tls};

/// Settings of [`RabbitBroker`](crate::RabbitBroker). All nodes of a system must agree on the prefix
/// and on everything about queues.
#[derive(Clone)]
pub struct RabbitConfig {
    pub(crate) url: String,
    pub(crate) tls: Tls,
    pub(crate) prefix: String,
    pub(crate) persist_queues: u16,
    pub(crate) persist_limit: u32,
    pub(crate) live_limit: u32,
    pub(crate) dead_limit: u32,
    pub(crate) prefetch: u16,
    pub(crate) connect_timeout: Duration,
    pub(crate) confirm_timeout: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) heartbeat: Duration,
}

impl RabbitConfig {
    /// RabbitMQ at this `amqp://` or `amqps://` URL, with defaults.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: Tls::default(),
            prefix: "darda".to_owned(),
            persist_queues: 8,
            persist_limit: 100_000,
            live_limit: 10_000,
            dead_limit: 1_000_000,
            prefetch: 256,
            connect_timeout: Duration::from_secs(3),
            confirm_timeout: Duration::from_secs(5),
            probe_interval: Duration::from_secs(2),
            heartbeat: Duration::from_secs(6),
        }
    }

    /// How connections are encrypted and who is believed; `amqps://` only. Default: whom the
    /// system's authorities vouch for.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// What the names of all queues and exchanges begin with; default `darda`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Durable queues that the 256 shards are spread over; default 8, at least 1.
    #[must_use]
    pub fn with_persist_queues(mut self, queues: u16) -> Self {
        self.persist_queues = queues.clamp(1, darda_core::model::limits::SHARDS);
        self
    }

    /// Messages that wait in each durable queue before it refuses more; default 100,000. A message has
    /// one entry where there is little to do, and up to 32 of 64 KiB in all where there is much.
    #[must_use]
    pub fn with_persist_limit(mut self, messages: u32) -> Self {
        self.persist_limit = messages;
        self
    }

    /// Messages that wait in a node's live queue before its oldest are dropped; default 10,000.
    #[must_use]
    pub fn with_live_limit(mut self, messages: u32) -> Self {
        self.live_limit = messages;
        self
    }

    /// Dead letters that are kept for an operator; default 1,000,000. Above it what can never be stored
    /// stays in its durable queue, and writers look for room again and again.
    #[must_use]
    pub fn with_dead_limit(mut self, messages: u32) -> Self {
        self.dead_limit = messages;
        self
    }

    /// Messages of each durable queue that a writer holds unsettled, of up to 32 entries or 64 KiB
    /// each; default 256.
    #[must_use]
    pub fn with_prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages.max(1);
        self
    }

    /// How long an attempt to connect may take, queues included; default 3 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a publish waits for its confirms; default 5 s.
    #[must_use]
    pub fn with_confirm_timeout(mut self, timeout: Duration) -> Self {
        self.confirm_timeout = timeout;
        self
    }

    /// How often a connection is asked whether it lives, and how long it may take to answer; default
    /// 2 s. One that does not is given up: it is dead after at most twice that.
    #[must_use]
    pub fn with_probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = interval;
        self
    }

    /// Heartbeats, in whole seconds and at least one, by which the server finds a client that it no longer
    /// hears; default 6 s. What such a writer holds goes to another after about two and a half of them. While
    /// the server is out of memory or disk, a client finds a dead server by them too: after two. RabbitMQ
    /// advises against less than 5 s: a pause of the machine would look like a death.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }
}

/// Without passwords.
impl fmt::Debug for RabbitConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitConfig")
            .field("url", &Redacted(&self.url))
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .field("persist_queues", &self.persist_queues)
            .field("persist_limit", &self.persist_limit)
            .field("live_limit", &self.live_limit)
            .field("dead_limit", &self.dead_limit)
            .field("prefetch", &self.prefetch)
            .field("connect_timeout", &self.connect_timeout)
            .field("confirm_timeout", &self.confirm_timeout)
            .field("probe_interval", &self.probe_interval)
            .field("heartbeat", &self.heartbeat)
            .finish()
    }
}
