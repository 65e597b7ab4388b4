//! How much nonsense a connection may send before it is closed: a bucket that refills with time.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Patience {
    left: u32,
    burst: u32,
    refill: Duration,
    since: Instant,
}

impl Patience {
    /// `burst` at once, and one more for each `refill` of time.
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self {
            left: burst,
            burst,
            refill,
            since: Instant::now(),
        }
    }

    /// Takes one. Says whether there was one.
    pub(crate) fn bears(&mut self) -> bool {
        if self.left == 0 {
            self.refill();
        }
        let bears = self.left > 0;
        self.left = self.left.saturating_sub(1);
        bears
    }

    fn refill(&mut self) {
        let passed = self.since.elapsed();
        let new = passed.as_nanos() / self.refill.as_nanos().max(1);
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        if new > 0 {
            self.left = self.left.saturating_add(new).min(self.burst);
            self.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_the_burst_and_comes_back_with_time() {
        let mut patience = Patience::new(3, Duration::from_secs(1));
        assert!((0..3).all(|_| patience.bears()));
        assert!(!patience.bears());
        tokio::time::advance(Duration::from_millis(1100)).await;
        assert!(patience.bears());
        assert!(!patience.bears());
    }
}
