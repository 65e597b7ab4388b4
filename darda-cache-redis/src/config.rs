//! What the ports are connected with.

use std::fmt;
use std::time::Duration;

use darda_core::adapter::{Redacted, Tls};

/// Settings of [`RedisPorts`](crate::RedisPorts).
///
/// The URL says which topology there is, and whether connections are encrypted:
///
/// | URL | what |
/// |---|---|
/// | `redis://[[user]:password@]host[:6379][/db]` | one server |
/// | `redis+sentinel://[[user]:password@]host[:26379],…/master[/db]` | the master that Sentinel names |
/// | `redis+cluster://[[user]:password@]host[:6379],…` | Redis Cluster |
///
/// With `rediss` instead of `redis`, TLS.
#[derive(Clone)]
pub struct RedisConfig {
    pub(crate) url: String,
    pub(crate) tls: Tls,
    pub(crate) prefix: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) outbox_limit: usize,
    pub(crate) window: usize,
    pub(crate) remembered_for: Duration,
    pub(crate) lease: Duration,
    pub(crate) sentinel_credentials: Option<(Option<String>, String)>,
}

impl RedisConfig {
    /// Redis at this URL, with defaults.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: Tls::default(),
            prefix: "darda:".to_owned(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            outbox_limit: 10_000,
            window: 256,
            remembered_for: Duration::from_secs(7 * 24 * 60 * 60),
            lease: Duration::from_secs(15),
            sentinel_credentials: None,
        }
    }

    /// How connections are encrypted, if the URL says that they are.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// What every key begins with; default `darda:`. Without braces, which name slots of a cluster.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long an attempt to connect may take, with everything that is asked then; default 2 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call may take; default 2 s. A connection on which three calls in a row took longer
    /// is given up.
    #[must_use]
    pub fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How many entries the outbox of each of the 256 shards holds; default 10,000. At the bound,
    /// appends fail as busy.
    #[must_use]
    pub fn with_outbox_limit(mut self, entries: usize) -> Self {
        self.outbox_limit = entries;
        self
    }

    /// How many of a log's newest entries are kept; default 256, at least 200. There may be up to
    /// 64 more.
    #[must_use]
    pub fn with_window(mut self, entries: usize) -> Self {
        self.window = entries.max(200);
        self
    }

    /// How long a log is remembered that nothing is appended to; default 7 days, at least 25 hours,
    /// since its ids are to be remembered for a day. Longer than the store may be away: after that, a
    /// reader no longer sees what waits in the outbox of such a log until it is stored.
    #[must_use]
    pub fn with_remembered_for(mut self, idle: Duration) -> Self {
        self.remembered_for = idle.max(Duration::from_secs(25 * 60 * 60));
        self
    }

    /// How long a node counts as alive without a renewal; default 15 s.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The name and password of the Sentinels themselves, if they demand any; those in the URL are
    /// the servers'.
    #[must_use]
    pub fn with_sentinel_credentials(
        mut self,
        user: Option<String>,
        password: impl Into<String>,
    ) -> Self {
        self.sentinel_credentials = Some((user, password.into()));
        self
    }
}

/// Without passwords.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &Redacted(&self.url))
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("outbox_limit", &self.outbox_limit)
            .field("window", &self.window)
            .field("remembered_for", &self.remembered_for)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
