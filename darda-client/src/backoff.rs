//! How long to wait before the next try, so that many clients that failed together do not come back
//! together.

use std::time::Duration;

/// Between half of `first · 2^failures` and all of it, and never more than `cap`.
pub(crate) fn backoff(
    first: Duration,
    cap: Duration,
    failures: u32,
    random: &mut fastrand::Rng,
) -> Duration {
    let whole = first.saturating_mul(1 << failures.min(20)).min(cap);
    whole.mul_f64(0.5 + random.f64() / 2.0)
}

/// What the server asked for, and up to a half more.
pub(crate) fn at_least(asked: Duration, random: &mut fastrand::Rng) -> Duration {
    asked.mul_f64(1.0 + random.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(300);
    const CAP: Duration = Duration::from_secs(30);

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_is_drawn_from_its_upper_half() {
        let mut random = fastrand::Rng::with_seed(1);
        for (failures, whole) in [
            (0, 300),
            (1, 600),
            (4, 4800),
            (7, 30_000),
            (4_000_000, 30_000),
        ] {
            let whole = Duration::from_millis(whole);
            let waits: Vec<_> = (0..100)
                .map(|_| backoff(FIRST, CAP, failures, &mut random))
                .collect();
            assert!(
                waits
                    .iter()
                    .all(|wait| *wait >= whole / 2 && *wait <= whole)
            );
            assert!(waits.iter().any(|wait| *wait < whole * 6 / 10));
            assert!(waits.iter().any(|wait| *wait > whole * 9 / 10));
        }
    }

    #[test]
    fn what_the_server_asks_for_is_never_undercut() {
        let mut random = fastrand::Rng::with_seed(1);
        let asked = Duration::from_secs(1);
        let waits: Vec<_> = (0..100).map(|_| at_least(asked, &mut random)).collect();
        assert!(
            waits
                .iter()
                .all(|wait| *wait >= asked && *wait <= asked * 3 / 2)
        );
        assert!(waits.iter().any(|wait| *wait > asked * 12 / 10));
    }
}
