//! What a router can be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::limits;

/// The settings of a [`router`](crate::router).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RouterOptions {
    /// Origins whose pages may use `/v1`, as `https://chat.example.org`. Default: none but the
    /// server's own host.
    pub allowed_origins: Vec<String>,
    /// How often a connection is pinged. Default: [`limits::HEARTBEAT`].
    pub heartbeat: Duration,
    /// Whether requests over HTTP are limited by user. Default: yes.
    pub http_rate_limit: bool,
    /// Whether the page is served at `/`. Default: yes.
    pub page: bool,
    /// What `/metrics` shows. Default: nothing, 404.
    pub metrics: Option<MetricsSource>,
    /// The tasks of connections, for whoever wants to wait for their end. Default: its own.
    pub tasks: TaskTracker,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            heartbeat: limits::HEARTBEAT,
            http_rate_limit: true,
            page: true,
            metrics: None,
            tasks: TaskTracker::new(),
        }
    }
}

impl RouterOptions {
    /// Sets [`allowed_origins`](Self::allowed_origins).
    #[must_use]
    pub fn with_allowed_origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        self.allowed_origins = origins.into_iter().collect();
        self
    }

    /// Sets [`heartbeat`](Self::heartbeat).
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Switches [`http_rate_limit`](Self::http_rate_limit) off.
    #[must_use]
    pub fn without_http_rate_limit(mut self) -> Self {
        self.http_rate_limit = false;
        self
    }

    /// Switches [`page`](Self::page) off.
    #[must_use]
    pub fn without_page(mut self) -> Self {
        self.page = false;
        self
    }

    /// Sets [`metrics`](Self::metrics).
    #[must_use]
    pub fn with_metrics(mut self, metrics: MetricsSource) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Sets [`tasks`](Self::tasks).
    #[must_use]
    pub fn with_tasks(mut self, tasks: TaskTracker) -> Self {
        self.tasks = tasks;
        self
    }
}

/// Renders all metrics in Prometheus' text format.
#[derive(Clone)]
pub struct MetricsSource(Arc<dyn Fn() -> String + Send + Sync>);

impl MetricsSource {
    /// A source that is this function.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    pub(crate) fn render(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsSource")
    }
}
