use std::cell::RefCell;
use std::future::{pending, ready};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::error::{Error, ErrorKind, Result};
use crate::resilience::Resilience;
use crate::resilience::budget::RetryBudget;
use crate::resilience::policy::Policy;

const MS: Duration = Duration::from_millis(1);

fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "away")
}

/// A policy whose breaker stays out of the way.
fn policy(settings: Resilience) -> Policy {
    Policy::new("cache", &settings.with_breaker(u32::MAX, Duration::ZERO))
}

/// Makes a call and says what came of it, and when each attempt was made.
async fn made<T>(
    policy: &Policy,
    attempt: impl AsyncFn(usize) -> Result<T>,
) -> (Result<T>, Vec<Duration>) {
    let start = Instant::now();
    let attempts = RefCell::new(Vec::new());
    let answer = policy
        .repeat(|| {
            attempts.borrow_mut().push(start.elapsed());
            attempt(attempts.borrow().len())
        })
        .await;
    (answer, attempts.into_inner())
}

/// The waits of a call that always fails at once.
async fn waits(policy: &Policy) -> Vec<Duration> {
    let (_, attempts) = made::<()>(policy, async |_| Err(away())).await;
    attempts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_fails_as_unavailable_after_its_timeout() {
    let policy = policy(Resilience::default());
    let start = Instant::now();
    let (answer, attempts) = made::<()>(&policy, async |_| pending().await).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(attempts.len(), 1);
    assert!(start.elapsed() >= 2000 * MS && start.elapsed() < 2010 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_hung_is_repeated_where_the_deadline_leaves_a_whole_timeout() {
    let policy = policy(Resilience::default().with_deadline(Duration::from_secs(5)));
    let (answer, attempts) = made(&policy, async |attempt| match attempt {
        1 => pending().await,
        _ => Ok(attempt),
    })
    .await;
    assert_eq!(answer.unwrap(), 2);
    assert!(attempts[1] >= 2050 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_repeated_until_it_is_answered() {
    let policy = policy(Resilience::default());
    let (answer, attempts) = made(&policy, async |attempt| match attempt {
        3 => Ok("there"),
        _ => Err(away()),
    })
    .await;
    assert_eq!(answer.unwrap(), "there");
    assert_eq!(attempts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_out_and_the_last_error_is_the_answer() {
    let policy = policy(Resilience::default());
    let (answer, attempts) = made::<()>(&policy, async |_| Err(away())).await;
    assert_eq!(answer.unwrap_err().to_string(), "away");
    assert_eq!(attempts.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_once_is_not_repeated() {
    let policy = policy(Resilience::default());
    let start = Instant::now();
    let answer: Result<()> = policy.once(ready(Err(away()))).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let answer: Result<()> = policy.once(pending()).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < 2010 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_an_adapter_refuses_by_itself_is_not_repeated() {
    let policy = policy(Resilience::default());
    let refuse = async |_| Err(Error::new(ErrorKind::Unavailable, "not ready").without_asking());
    let (answer, attempts) = made::<()>(&policy, refuse).await;
    assert_eq!(answer.unwrap_err().to_string(), "not ready");
    assert_eq!(attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_refuses_is_not_repeated() {
    let policy = policy(Resilience::default());
    for kind in [
        ErrorKind::Busy,
        ErrorKind::RateLimited,
        ErrorKind::Conflict,
        ErrorKind::LimitReached,
        ErrorKind::Internal,
    ] {
        let refuse = async |_| Err(Error::new(kind, "no").with_retry_after(MS));
        let (answer, attempts) = made::<()>(&policy, refuse).await;
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (kind, Some(MS)));
        assert_eq!(attempts.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_double_and_have_jitter_of_up_to_as_much_again() {
    let policy = policy(Resilience::default().with_waits(50 * MS, 150 * MS));
    for _ in 0..20 {
        let waits = waits(&policy).await;
        let shortest = [50, 100, 150];
        assert_eq!(waits.len(), shortest.len());
        for (wait, shortest) in waits.into_iter().zip(shortest) {
            // Tokio's timers are a millisecond coarse.
            assert!(wait >= shortest * MS && wait <= (2 * shortest + 1) * MS);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_failed_together_do_not_come_back_together() {
    let policy = policy(Resilience::default().with_waits(Duration::from_millis(200), 500 * MS));
    let mut first = Vec::new();
    for _ in 0..8 {
        first.push(waits(&policy).await[0]);
    }
    first.sort_unstable();
    first.dedup();
    assert!(first.len() >= 6, "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_the_waits_and_another_one_does_not() {
    let of = async |seed| waits(&policy(Resilience::default().with_jitter_seed(seed))).await;
    assert_eq!(of(1).await, of(1).await);
    assert_ne!(of(1).await, of(2).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_seed_two_ports_wait_differently() {
    let first = waits(&policy(Resilience::default())).await;
    let second = waits(&policy(Resilience::default())).await;
    assert_ne!(first, second);
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_ends_the_repeats() {
    let policy = policy(Resilience::default().with_retry_budget(0.2, 10.0));
    let mut attempts = 0;
    let start = Instant::now();
    let calls = (0..2000).map(|_| made::<()>(&policy, async |_| Err(away())));
    for (_, made) in futures::future::join_all(calls).await {
        attempts += made.len();
    }
    let granted = 100.0 + start.elapsed().as_secs_f64() * 10.0;
    assert!(attempts > 2000 + 90, "{attempts}");
    assert!(attempts as f64 <= 2000.0 + granted, "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn each_answered_call_pays_for_its_share_of_a_repeat() {
    let policy = policy(Resilience::default().with_retry_budget(0.2, 0.0));
    assert!(waits(&policy).await.is_empty());
    for _ in 0..11 {
        let (answer, _) = made(&policy, async |_| Ok(())).await;
        answer.unwrap();
    }
    assert_eq!(waits(&policy).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_account_holds_what_was_paid_in() {
    let budget = RetryBudget::new(0.2, 0.0);
    assert!(!budget.withdraw());
    for _ in 0..9 {
        budget.deposit();
    }
    assert!(budget.withdraw());
    assert!(!budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn what_was_saved_for_repeats_wears_off_and_what_was_spent_comes_back() {
    let budget = RetryBudget::new(1.0, 10.0);
    let withdraw_all = || std::iter::from_fn(|| budget.withdraw().then_some(())).count();
    assert_eq!(withdraw_all(), 100);
    advance(Duration::from_secs(1)).await;
    assert_eq!(withdraw_all(), 9);
    (0..10_000).for_each(|_| budget.deposit());
    advance(Duration::from_secs(100)).await;
    assert_eq!(withdraw_all(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_calls_time_begins_with_its_turn() {
    let policy = policy(Resilience::default()).with_turns(2);
    let start = Instant::now();
    let call = || {
        policy.repeat(async || {
            sleep(1500 * MS).await;
            Ok(start.elapsed())
        })
    };
    let answers = join_all((0..6).map(|_| call())).await;
    let turns: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().as_millis() / 1500)
        .collect();
    assert_eq!(turns, [1, 1, 2, 2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_its_turn_to_the_next() {
    let policy = policy(Resilience::default()).with_turns(1);
    let hung = timeout(500 * MS, policy.once(pending::<Result<()>>()));
    let next = policy.once(async { Ok(Instant::now()) });
    let start = Instant::now();
    let (hung, next) = futures::join!(hung, next);
    assert!(hung.is_err());
    assert_eq!((next.unwrap() - start).as_millis(), 500);
}
