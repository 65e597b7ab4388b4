use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use parking_lot::Mutex;
use tokio::time::{Instant, advance};
use tracing::Level;

use crate::error::{Error, ErrorKind, Result};
use crate::observe;
use crate::resilience::policy::Policy;
use crate::resilience::{BreakerState, Resilience};

const MS: Duration = Duration::from_millis(1);

fn away() -> Result<()> {
    Err(Error::new(ErrorKind::Unavailable, "away"))
}

/// No repeats; a breaker that three failures in half a second open.
fn policy() -> Policy {
    Policy::new("cache", &Resilience::default().with_attempts(1))
}

impl Policy {
    fn state(&self) -> BreakerState {
        self.breaker().state()
    }

    async fn fail(&self) {
        self.once(ready(away())).await.unwrap_err();
    }

    /// A call that the adapter refuses by itself.
    async fn refuse(&self) {
        let refusal = Error::new(ErrorKind::Unavailable, "not ready").without_asking();
        let error = self.once(ready(Err::<(), _>(refusal))).await.unwrap_err();
        assert_eq!(error.to_string(), "not ready");
    }

    async fn succeed(&self) {
        self.once(ready(Ok(()))).await.unwrap();
    }

    /// Opens the breaker.
    async fn break_down(&self) {
        self.fail().await;
        advance(500 * MS).await;
        self.fail().await;
        self.fail().await;
        assert_eq!(self.state(), BreakerState::Open);
    }

    /// A call that is made and not answered until the sender says so.
    async fn begin(
        &self,
    ) -> (
        tokio::sync::oneshot::Sender<Result<()>>,
        futures::future::BoxFuture<'_, Result<()>>,
    ) {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let mut call = self.once(async { answered.await.unwrap() }).boxed();
        assert!(futures::poll!(&mut call).is_pending());
        (answer, call)
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_failures_in_a_row() {
    let policy = policy();
    policy.fail().await;
    advance(600 * MS).await;
    policy.fail().await;
    assert_eq!(policy.state(), BreakerState::Closed);
    policy.fail().await;
    assert_eq!(policy.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_of_one_moment_do_not_open_it() {
    let policy = policy();
    for _ in 0..100 {
        policy.fail().await;
    }
    advance(499 * MS).await;
    policy.fail().await;
    assert_eq!(policy.state(), BreakerState::Closed);
    advance(MS).await;
    policy.fail().await;
    assert_eq!(policy.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_hangs_opens_it_with_the_first_calls() {
    let policy = policy();
    let start = Instant::now();
    let calls = (0..10).map(|_| policy.once(pending::<Result<()>>()));
    futures::future::join_all(calls).await;
    assert_eq!(policy.state(), BreakerState::Open);
    assert!(start.elapsed() < 2010 * MS);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_between_begins_the_row_anew() {
    let policy = policy();
    for _ in 0..10 {
        policy.fail().await;
        policy.fail().await;
        advance(500 * MS).await;
        policy.succeed().await;
    }
    assert_eq!(policy.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_refuses_does_not_open_it() {
    let policy = policy();
    for kind in [
        ErrorKind::Busy,
        ErrorKind::RateLimited,
        ErrorKind::Conflict,
        ErrorKind::Internal,
    ] {
        for _ in 0..10 {
            let refuse = ready(Err::<(), _>(Error::new(kind, "no")));
            policy.once(refuse).await.unwrap_err();
            advance(500 * MS).await;
        }
        assert_eq!(policy.state(), BreakerState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_at_once_and_says_for_how_long() {
    let policy = policy();
    policy.break_down().await;
    advance(300 * MS).await;
    let start = Instant::now();
    let error = policy.once(pending::<Result<()>>()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(700 * MS));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_the_breaker_refuses_is_not_repeated() {
    let policy = Policy::new("cache", &Resilience::default());
    policy.break_down().await;
    let start = Instant::now();
    let mut calls = 0;
    let answer = policy.repeat(|| {
        calls += 1;
        ready(away())
    });
    answer.await.unwrap_err();
    assert_eq!((calls, start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn after_the_open_time_exactly_so_many_probes_are_let_through() {
    let policy = policy();
    policy.break_down().await;
    advance(1000 * MS).await;
    let mut probes = Vec::new();
    for _ in 0..3 {
        probes.push(policy.begin().await);
        assert_eq!(policy.state(), BreakerState::HalfOpen);
    }
    let refused = policy.once(ready(Ok(()))).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(1000 * MS));
    for (answer, probe) in probes {
        assert_eq!(policy.state(), BreakerState::HalfOpen);
        answer.send(Ok(())).unwrap();
        probe.await.unwrap();
    }
    assert_eq!(policy.state(), BreakerState::Closed);
    policy.succeed().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_it_again_for_the_whole_time() {
    let policy = policy();
    policy.break_down().await;
    advance(1000 * MS).await;
    policy.succeed().await;
    policy.fail().await;
    assert_eq!(policy.state(), BreakerState::Open);
    let error = policy.once(ready(Ok(()))).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(1000 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_caller_goes_leaves_its_place_to_another() {
    let policy = policy();
    policy.break_down().await;
    advance(1000 * MS).await;
    for _ in 0..10 {
        drop(policy.begin().await);
    }
    for _ in 0..3 {
        policy.succeed().await;
    }
    assert_eq!(policy.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_began_before_it_opened_neither_closes_nor_opens_it_later() {
    let policy = policy();
    let (well, late_answer) = policy.begin().await;
    let (better, later_answer) = policy.begin().await;
    let (ill, late_failure) = policy.begin().await;
    policy.break_down().await;
    well.send(Ok(())).unwrap();
    late_answer.await.unwrap();
    assert_eq!(policy.state(), BreakerState::Open);
    advance(1000 * MS).await;
    policy.succeed().await;
    policy.succeed().await;
    better.send(Ok(())).unwrap();
    later_answer.await.unwrap();
    ill.send(away()).unwrap();
    late_failure.await.unwrap_err();
    assert_eq!(policy.state(), BreakerState::HalfOpen);
    policy.succeed().await;
    assert_eq!(policy.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn state_and_calls_are_metrics_of_the_port() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let policy = metrics::with_local_recorder(&recorder, || {
        Policy::new(
            "cache",
            &Resilience::default().with_deadline(Duration::from_secs(9)),
        )
    });
    let read = move || {
        let values = snapshotter.snapshot().into_vec().into_iter();
        let named = values.map(|(key, _, _, value)| {
            let key = key.key();
            let port = key.labels().find(|label| label.key() == "port");
            assert_eq!(port.map(metrics::Label::value), Some("cache"));
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => panic!("no histogram here"),
            };
            (key.name().to_owned(), value)
        });
        named.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(read()[observe::BREAKER_STATE], 0.0);
    // Four attempts at two calls: three of them at once, one after its time; then it is open.
    let mut attempts = 0;
    let call = policy.repeat(|| {
        attempts += 1;
        async move {
            match attempts {
                1 | 2 => away(),
                3 => pending().await,
                _ => Ok(()),
            }
        }
    });
    call.await.unwrap_err();
    let values = read();
    assert_eq!(values[observe::BREAKER_STATE], 2.0);
    assert_eq!(values[observe::PORT_CALLS], 1.0);
    assert_eq!(values[observe::PORT_FAILURES], 3.0);
    assert_eq!(values[observe::PORT_TIMEOUTS], 1.0);
    assert_eq!(values[observe::PORT_REJECTED], 1.0);
    advance(1000 * MS).await;
    let (_answer, _probe) = policy.begin().await;
    assert_eq!(read()[observe::BREAKER_STATE], 1.0);
    for _ in 0..2 {
        policy.succeed().await;
    }
    drop((_answer, _probe));
    policy.succeed().await;
    assert_eq!(read()[observe::BREAKER_STATE], 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_two_lines_in_the_log() {
    // With one subscriber alone, `tracing` takes the answer of the test that comes to a line first for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let policy = policy();
    policy.break_down().await;
    for _ in 0..5 {
        for _ in 0..100 {
            policy.once(ready(away())).await.unwrap_err();
        }
        advance(1000 * MS).await;
        policy.fail().await;
    }
    advance(1000 * MS).await;
    for _ in 0..10 {
        policy.succeed().await;
    }
    assert_eq!(*lines.0.lock(), [Level::WARN, Level::INFO]);
}

/// The levels of what is logged, `INFO` and above.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<Level>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().push(*event.metadata().level());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn calls_that_an_adapter_refuses_by_itself_keep_no_others_from_their_part() {
    let policy = policy();
    for _ in 0..10 {
        for _ in 0..10 {
            policy.refuse().await;
            advance(100 * MS).await;
        }
        policy.succeed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_an_adapter_refuses_by_itself_hide_no_silence() {
    let policy = policy();
    policy.fail().await;
    advance(500 * MS).await;
    policy.refuse().await;
    policy.fail().await;
    policy.refuse().await;
    policy.fail().await;
    assert_eq!(policy.state(), BreakerState::Open);
    advance(1000 * MS).await;
    for _ in 0..10 {
        policy.refuse().await;
        assert_eq!(policy.state(), BreakerState::HalfOpen);
    }
    for _ in 0..3 {
        policy.succeed().await;
    }
    assert_eq!(policy.state(), BreakerState::Closed);
}
