//! Requests of each user over HTTP: so many a second, and so many at once after a pause. A session
//! counts its own commands, but over HTTP each request stands alone.

use std::time::Duration;

use darda_core::model::UserId;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{HTTP_BURST, HTTP_RATE, MAX_HTTP_USERS};

#[derive(Debug)]
pub(crate) struct HttpRates {
    /// When the user's whole burst is there again: the later, the less is left.
    full_at: Mutex<LruCache<UserId, Instant>>,
}

impl HttpRates {
    pub(crate) fn new() -> Self {
        let users =
            std::num::NonZeroUsize::new(MAX_HTTP_USERS).unwrap_or(std::num::NonZeroUsize::MIN);
        Self {
            full_at: Mutex::new(LruCache::new(users)),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When to try again, if there were too many.
    pub(crate) fn count(&self, user: &UserId) -> Result<(), Duration> {
        let one = Duration::from_secs(1) / HTTP_RATE;
        let now = Instant::now();
        let mut full_at = self.full_at.lock();
        let after = full_at.get(user).copied().unwrap_or(now).max(now) + one;
        let excess = (after - now).saturating_sub(one * HTTP_BURST);
        if excess.is_zero() {
            full_at.put(user.clone(), after);
            Ok(())
        } else {
            Err(excess)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_then_the_rate() {
        let rates = HttpRates::new();
        let (alice, bob) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
        let passed = (0..1000).filter(|_| rates.count(&alice).is_ok()).count();
        assert_eq!(passed, HTTP_BURST as usize);
        assert!(rates.count(&bob).is_ok());
        let wait = rates.count(&alice).unwrap_err();
        tokio::time::advance(wait).await;
        assert!(rates.count(&alice).is_ok());
        assert!(rates.count(&alice).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn users_that_are_counted_are_bounded() {
        let rates = HttpRates::new();
        for number in 0..2 * MAX_HTTP_USERS {
            rates
                .count(&UserId::new(number.to_string()).unwrap())
                .unwrap();
        }
        assert_eq!(rates.full_at.lock().len(), MAX_HTTP_USERS);
    }
}
