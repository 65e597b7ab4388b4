//! What is done around every call of every port, written once.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backon::{BackoffBuilder, ExponentialBuilder};
use metrics::{Counter, counter};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::breaker::Breaker;
use super::budget::RetryBudget;
use super::settings::Resilience;
use crate::error::{Error, ErrorKind, Result};
use crate::observe;

/// The time limit, the repeats and the breaker of one port.
#[derive(Debug)]
pub(super) struct Policy {
    settings: Resilience,
    breaker: Breaker,
    budget: RetryBudget,
    waits: ExponentialBuilder,
    /// Gives each series of waits a seed of its own.
    series: AtomicU64,
    /// Of those that may be under way at once.
    turns: Option<Semaphore>,
    refusal: Arc<str>,
    silence: Arc<str>,
    counted: Counted,
}

#[derive(Debug)]
struct Counted {
    calls: Counter,
    failures: Counter,
    timeouts: Counter,
    retries: Counter,
    unaffordable: Counter,
    rejected: Counter,
}

/// Why an attempt brought nothing that the caller can use.
enum Failure {
    /// The breaker refused it, or the adapter by itself.
    Refused(Error),
    /// The part did not answer.
    Silent(Error),
}

impl Policy {
    pub(super) fn new(port: &'static str, settings: &Resilience) -> Self {
        let waits = ExponentialBuilder::new()
            .with_min_delay(settings.first_wait)
            .with_max_delay(settings.longest_wait)
            .with_max_times(settings.attempts.saturating_sub(1) as usize)
            .with_jitter();
        let seed = settings
            .jitter_seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Self {
            breaker: Breaker::new(port, settings),
            budget: RetryBudget::new(settings.retry_ratio, settings.retries_per_second),
            waits,
            series: AtomicU64::new(seed),
            turns: None,
            refusal: format!("the {port} does not answer at the moment").into(),
            silence: format!("the {port} did not answer in time").into(),
            counted: Counted {
                calls: counter!(observe::PORT_CALLS, "port" => port),
                failures: counter!(observe::PORT_FAILURES, "port" => port),
                timeouts: counter!(observe::PORT_TIMEOUTS, "port" => port),
                retries: counter!(observe::PORT_RETRIES, "port" => port),
                unaffordable: counter!(observe::PORT_RETRIES_UNAFFORDABLE, "port" => port),
                rejected: counter!(observe::PORT_REJECTED, "port" => port),
            },
            settings: settings.clone(),
        }
    }

    /// The same with so many attempts at once.
    pub(super) fn with_turns(mut self, at_once: usize) -> Self {
        self.turns = Some(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
        self
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// A call that is made once.
    pub(super) async fn once<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.counted.calls.increment(1);
        match self.attempt(call).await {
            Ok(answer) => answer,
            Err(Failure::Refused(error) | Failure::Silent(error)) => Err(error),
        }
    }

    /// A call that may be made again.
    pub(super) async fn repeat<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.counted.calls.increment(1);
        let end = Instant::now() + self.settings.deadline;
        let mut waits = None;
        loop {
            let error = match self.attempt(call()).await {
                Ok(answer) => {
                    self.budget.deposit();
                    return answer;
                }
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Silent(error)) => error,
            };
            let waits = waits.get_or_insert_with(|| self.series().build());
            let Some(wait) = waits.next() else {
                return Err(error);
            };
            if Instant::now() + wait + self.settings.timeout > end {
                return Err(error);
            }
            if !self.budget.withdraw() {
                self.counted.unaffordable.increment(1);
                return Err(error);
            }
            sleep(wait).await;
            self.counted.retries.increment(1);
        }
    }

    /// One attempt: what the part answered, if it did.
    async fn attempt<T>(
        &self,
        call: impl Future<Output = Result<T>>,
    ) -> Result<Result<T>, Failure> {
        let _turn = match &self.turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let permit = self.breaker.admit().map_err(|after| {
            self.counted.rejected.increment(1);
            let error = Error::new(ErrorKind::Unavailable, self.refusal.clone());
            Failure::Refused(error.with_retry_after(after))
        })?;
        let error = match timeout(self.settings.timeout, call).await {
            Ok(Err(error)) if error.kind() == ErrorKind::Unavailable => error,
            Ok(answer) => {
                permit.answered();
                return Ok(answer);
            }
            Err(_) => {
                self.counted.timeouts.increment(1);
                Error::new(ErrorKind::Unavailable, self.silence.clone())
                    .with_retry_after(self.settings.open_for)
            }
        };
        self.counted.failures.increment(1);
        if !error.was_asked() {
            // No verdict: it would keep the calls that are answered from their part.
            return Err(Failure::Refused(error));
        }
        permit.failed(&error);
        Err(Failure::Silent(error))
    }

    /// The waits of one call. No two calls have the same ones.
    fn series(&self) -> ExponentialBuilder {
        let seed = self.series.fetch_add(1, Ordering::Relaxed);
        self.waits.with_jitter_seed(seed)
    }
}
