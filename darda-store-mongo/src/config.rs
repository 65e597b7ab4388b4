//! What the store is connected with.

use std::fmt;
use std::time::Duration;

use darda_core::adapter::{Redacted, Tls};

/// Settings of a [`MongoStore`](crate::MongoStore).
///
/// The URL is MongoDB's, `mongodb://[user:password@]host[:27017][,…]/[?options]`, with `tls=true`
/// among its options for TLS. Where a setting here and an option of the URL speak of the same, the
/// setting counts if it was made, else the option, else the setting's default. Write concern, read
/// concern, read preference and the Stable API are the store's own, whatever the URL says.
#[derive(Clone)]
pub struct MongoConfig {
    pub(crate) url: String,
    pub(crate) database: String,
    pub(crate) tls: Tls,
    pub(crate) app_name: Option<String>,
    pub(crate) min_pool_size: Option<u32>,
    pub(crate) max_pool_size: Option<u32>,
    pub(crate) server_selection_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) operation_timeout: Duration,
    pub(crate) index_timeout: Duration,
}

impl MongoConfig {
    /// A database, by MongoDB's URL and the database's name, with defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: database.into(),
            tls: Tls::default(),
            app_name: None,
            min_pool_size: None,
            max_pool_size: None,
            server_selection_timeout: None,
            connect_timeout: None,
            heartbeat: None,
            operation_timeout: Duration::from_secs(4),
            index_timeout: Duration::from_secs(60),
        }
    }

    /// How connections are encrypted, if the URL says that they are.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// What the database's logs call this client; default `darda`.
    #[must_use]
    pub fn with_app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = Some(name.into());
        self
    }

    /// Connections to each server that are kept open when there is nothing to do; default 1.
    #[must_use]
    pub fn with_min_pool_size(mut self, connections: u32) -> Self {
        self.min_pool_size = Some(connections);
        self
    }

    /// Connections to each server at most; default 32. Calls beyond it wait for one, within their
    /// time.
    #[must_use]
    pub fn with_max_pool_size(mut self, connections: u32) -> Self {
        self.max_pool_size = Some(connections);
        self
    }

    /// How long a call waits for a primary; default 2 s.
    #[must_use]
    pub fn with_server_selection_timeout(mut self, timeout: Duration) -> Self {
        self.server_selection_timeout = Some(timeout);
        self
    }

    /// How long an attempt to connect may take, and how long a server may take to answer a
    /// heartbeat; default 2 s. After that its connections are given up.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How often servers are asked whether they are well; default 2 s, at least 0.5 s.
    #[must_use]
    pub fn with_heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = Some(every);
        self
    }

    /// How long a call of the store may take, waiting for a connection included; default 4 s. The
    /// database is told to give up at the same time.
    #[must_use]
    pub fn with_operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// How long an attempt to make the indexes may take; default 60 s. The database goes on after
    /// that, and the next attempt finds what it has made.
    #[must_use]
    pub fn with_index_timeout(mut self, timeout: Duration) -> Self {
        self.index_timeout = timeout;
        self
    }
}

/// Without passwords.
impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoConfig")
            .field("url", &Redacted(&self.url))
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("app_name", &self.app_name)
            .field("min_pool_size", &self.min_pool_size)
            .field("max_pool_size", &self.max_pool_size)
            .field("server_selection_timeout", &self.server_selection_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("operation_timeout", &self.operation_timeout)
            .field("index_timeout", &self.index_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let config = MongoConfig::new("mongodb://chat:s3cret@db.example.org/?tls=true", "chat");
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("db.example.org"), "{shown}");
    }
}
