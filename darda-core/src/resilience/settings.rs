//! The settings of the wrappers, with their defaults and the reasons for them.

use std::time::Duration;

/// How a port's calls are bounded, repeated and cut off.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Resilience {
    /// How long one attempt may take. Default: 2 s: far above what a part takes that is well, and
    /// short enough that a request (5 s) can ask another part after it.
    pub timeout: Duration,
    /// How long all attempts of a call may take. None is begun that would not have its whole
    /// `timeout` before that. Default: 3 s: what fails at once is repeated for up to 1 s; what took
    /// its whole `timeout` is not repeated, since it would hang again and the request's time would
    /// be over. To repeat that too, set twice the `timeout` and a little more.
    pub deadline: Duration,
    /// Attempts at a call, the first included; at least 1. Default: 4, which bridge 350 to 700 ms: a
    /// connection that is made anew.
    pub attempts: u32,
    /// The wait before the first repeat, doubled before each further one. Jitter adds up to as much
    /// again, so that calls that failed together do not come back together. Default: 50 ms.
    pub first_wait: Duration,
    /// The longest wait, without the jitter. Default: 500 ms.
    pub longest_wait: Duration,
    /// Repeats for each call that was answered, over about the last 10 s. Default: 0.2: a part that
    /// is in trouble gets at most a fifth more calls than it answers.
    pub retry_ratio: f64,
    /// Repeats per second that are granted in any case, so that a quiet node can repeat. Default: 10.
    pub retries_per_second: f64,
    /// Failures after which the breaker opens, if nothing was answered in between; at least 1.
    /// Default: 3.
    pub breaker_failures: u32,
    /// How long nothing must have been answered, besides, before the breaker opens, counted from
    /// the beginning of the first call that failed. Default: 500 ms: a connection that breaks under
    /// a hundred calls makes a hundred failures at once and is back a moment later.
    pub breaker_patience: Duration,
    /// How long an open breaker refuses all calls before it lets probes through. Default: 1 s: so
    /// long the part's recovery goes unnoticed, and so often a caller waits in vain for one that
    /// hangs.
    pub open_for: Duration,
    /// Calls that are let through as probes. When all of them were answered the breaker closes; one
    /// that fails opens it again. At least 1. Default: 3: one answer may be luck.
    pub probes: u32,
    /// Calls of the store that a node has under way; at least 1. Further ones wait for their turn in
    /// the order in which they came, and the time limits of a call begin with its turn: of thousands
    /// of sessions that come back at once each is answered in its time, where otherwise all would be
    /// under way, none answered within its `timeout`, and the breaker open. Default: 64, twice the
    /// connections that `darda-store-mongo` opens.
    pub store_calls: usize,
    /// What the jitter is drawn from. Default: drawn at random.
    pub jitter_seed: Option<u64>,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            deadline: Duration::from_secs(3),
            attempts: 4,
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_millis(500),
            retry_ratio: 0.2,
            retries_per_second: 10.0,
            breaker_failures: 3,
            breaker_patience: Duration::from_millis(500),
            open_for: Duration::from_secs(1),
            probes: 3,
            store_calls: 64,
            jitter_seed: None,
        }
    }
}

impl Resilience {
    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`deadline`](Self::deadline).
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets [`attempts`](Self::attempts); 1 switches repeats off.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets [`first_wait`](Self::first_wait) and [`longest_wait`](Self::longest_wait).
    #[must_use]
    pub fn with_waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first_wait = first;
        self.longest_wait = longest;
        self
    }

    /// Sets [`retry_ratio`](Self::retry_ratio) and
    /// [`retries_per_second`](Self::retries_per_second).
    #[must_use]
    pub fn with_retry_budget(mut self, ratio: f64, per_second: f64) -> Self {
        self.retry_ratio = ratio;
        self.retries_per_second = per_second;
        self
    }

    /// Sets [`breaker_failures`](Self::breaker_failures) and
    /// [`breaker_patience`](Self::breaker_patience).
    #[must_use]
    pub fn with_breaker(mut self, failures: u32, patience: Duration) -> Self {
        self.breaker_failures = failures;
        self.breaker_patience = patience;
        self
    }

    /// Sets [`open_for`](Self::open_for).
    #[must_use]
    pub fn with_open_for(mut self, open_for: Duration) -> Self {
        self.open_for = open_for;
        self
    }

    /// Sets [`probes`](Self::probes).
    #[must_use]
    pub fn with_probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Sets [`store_calls`](Self::store_calls).
    #[must_use]
    pub fn with_store_calls(mut self, at_once: usize) -> Self {
        self.store_calls = at_once;
        self
    }

    /// Sets [`jitter_seed`](Self::jitter_seed): the same waits in each run, for tests.
    #[must_use]
    pub fn with_jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }
}
