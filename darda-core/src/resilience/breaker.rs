//! Knows from what became of a port's calls whether it is worth calling.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::settings::Resilience;
use crate::error::Error;
use crate::observe;

/// Whether a breaker lets calls through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// All of them.
    Closed,
    /// Some, to see whether they are answered again.
    HalfOpen,
    /// None.
    Open,
}

impl BreakerState {
    /// `closed`, `half-open` or `open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// As the metric shows it.
    fn level(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The breaker of a wrapped port, to look at. Clones are the same breaker.
#[derive(Debug, Clone)]
pub struct Breaker(Arc<Shared>);

/// The breakers of [`Ports`](crate::Ports): `None` where a port is not wrapped.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Breakers {
    /// The broker's.
    pub broker: Option<Breaker>,
    /// The store's.
    pub store: Option<Breaker>,
    /// The cache's.
    pub cache: Option<Breaker>,
    /// The session registry's.
    pub registry: Option<Breaker>,
}

struct Shared {
    port: &'static str,
    failures: u32,
    patience: Duration,
    open_for: Duration,
    probes: u32,
    phase: Mutex<Phase>,
    shown: Gauge,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("port", &self.port)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Phase {
    /// Counts the phases: what was let through in an earlier one says nothing about this one.
    number: u64,
    now: Now,
}

#[derive(Debug)]
enum Now {
    Closed {
        /// In a row.
        failures: u32,
        /// When the first of the calls began that failed in a row.
        since: Option<Instant>,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        admitted: u32,
        answered: u32,
    },
}

/// A call that was let through. Dropped without a verdict it counts for nothing: its caller went, or the
/// part was not asked.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    phase: u64,
    began: Instant,
    judged: bool,
}

impl Breaker {
    pub(super) fn new(port: &'static str, settings: &Resilience) -> Self {
        let shown = gauge!(observe::BREAKER_STATE, "port" => port);
        shown.set(BreakerState::Closed.level());
        let phase = Phase {
            number: 0,
            now: Now::closed(),
        };
        Self(Arc::new(Shared {
            port,
            failures: settings.breaker_failures.max(1),
            patience: settings.breaker_patience,
            open_for: settings.open_for,
            probes: settings.probes.max(1),
            phase: Mutex::new(phase),
            shown,
        }))
    }

    /// Whether it lets calls through. An open one turns half-open with the first call that comes
    /// after its time.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.0.phase.lock().now {
            Now::Closed { .. } => BreakerState::Closed,
            Now::Open { .. } => BreakerState::Open,
            Now::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Lets a call through, or says after which time to ask again.
    pub(super) fn admit(&self) -> Result<Permit<'_>, Duration> {
        let began = Instant::now();
        let mut phase = self.0.phase.lock();
        match &mut phase.now {
            Now::Closed { .. } => {}
            Now::Open { until } if *until > began => return Err(*until - began),
            Now::Open { .. } => {
                phase.turn(Now::HalfOpen {
                    admitted: 1,
                    answered: 0,
                });
                self.0.shown.set(BreakerState::HalfOpen.level());
                tracing::debug!(port = self.0.port, "breaker lets probes through");
            }
            Now::HalfOpen { admitted, .. } if *admitted < self.0.probes => *admitted += 1,
            // The probes are on their way.
            Now::HalfOpen { .. } => return Err(self.0.open_for),
        }
        Ok(Permit {
            breaker: self,
            phase: phase.number,
            began,
            judged: false,
        })
    }
}

impl Phase {
    fn turn(&mut self, now: Now) {
        self.number += 1;
        self.now = now;
    }
}

impl Now {
    fn closed() -> Self {
        Self::Closed {
            failures: 0,
            since: None,
        }
    }
}

impl Permit<'_> {
    /// The part answered, whatever it said.
    pub(super) fn answered(mut self) {
        self.judged = true;
        let breaker = &self.breaker.0;
        let mut phase = breaker.phase.lock();
        if phase.number != self.phase {
            return;
        }
        match &mut phase.now {
            Now::Closed { failures, since } => {
                *failures = 0;
                *since = None;
            }
            Now::HalfOpen { answered, .. } => {
                *answered += 1;
                if *answered == breaker.probes {
                    phase.turn(Now::closed());
                    breaker.shown.set(BreakerState::Closed.level());
                    drop(phase);
                    tracing::info!(port = breaker.port, "port answers again, breaker closes");
                }
            }
            Now::Open { .. } => {}
        }
    }

    /// The part did not answer.
    pub(super) fn failed(mut self, error: &Error) {
        self.judged = true;
        let breaker = &self.breaker.0;
        let now = Instant::now();
        let until = now + breaker.open_for;
        let mut phase = breaker.phase.lock();
        if phase.number != self.phase {
            return;
        }
        match &mut phase.now {
            Now::Closed { failures, since } => {
                *failures = failures.saturating_add(1);
                let first = since.map_or(self.began, |since| since.min(self.began));
                *since = Some(first);
                let silent = now.saturating_duration_since(first);
                if *failures < breaker.failures || silent < breaker.patience {
                    return;
                }
                let failures = *failures;
                phase.turn(Now::Open { until });
                breaker.shown.set(BreakerState::Open.level());
                drop(phase);
                tracing::warn!(port = breaker.port, failures, ?silent, kind = ?error.kind(), %error,
                    "port does not answer, breaker opens");
            }
            Now::HalfOpen { .. } => {
                phase.turn(Now::Open { until });
                breaker.shown.set(BreakerState::Open.level());
                drop(phase);
                // Whoever was told that it opened waits to be told that it closed.
                tracing::debug!(port = breaker.port, %error, "a probe failed, breaker opens again");
            }
            Now::Open { .. } => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.judged {
            return;
        }
        let mut phase = self.breaker.0.phase.lock();
        if phase.number == self.phase
            && let Now::HalfOpen { admitted, .. } = &mut phase.now
        {
            // Another one may try in its place.
            *admitted -= 1;
        }
    }
}
