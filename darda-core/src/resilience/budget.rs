//! How many calls may be repeated: a share of those that are answered, so that a part in trouble is
//! not buried under repeats.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// After so long, about a third of what was saved is left.
const MEMORY: Duration = Duration::from_secs(10);

/// An account of repeats. Answered calls pay in, repeats take out, and what is in it wears off, so
/// that a long good time does not buy a storm.
#[derive(Debug)]
pub(super) struct RetryBudget {
    ratio: f64,
    /// What the account comes to rest at when nobody pays in.
    rest: f64,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    balance: f64,
    at: Instant,
}

impl RetryBudget {
    pub(super) fn new(ratio: f64, per_second: f64) -> Self {
        let at_least_none = |value: f64| if value > 0.0 { value } else { 0.0 };
        let rest = at_least_none(per_second) * MEMORY.as_secs_f64();
        let account = Account {
            balance: rest,
            at: Instant::now(),
        };
        Self {
            ratio: at_least_none(ratio),
            rest,
            account: Mutex::new(account),
        }
    }

    /// A call was answered.
    pub(super) fn deposit(&self) {
        let mut account = self.account.lock();
        self.wear(&mut account);
        account.balance += self.ratio;
    }

    /// Takes one repeat, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        let mut account = self.account.lock();
        self.wear(&mut account);
        let enough = account.balance >= 1.0;
        if enough {
            account.balance -= 1.0;
        }
        enough
    }

    /// The balance nears its rest, from above and from below.
    fn wear(&self, account: &mut Account) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(account.at);
        if !passed.is_zero() {
            let kept = (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
            account.balance = self.rest + (account.balance - self.rest) * kept;
            account.at = now;
        }
    }
}
