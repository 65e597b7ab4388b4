//! The paused time, told as the time of day.

use darda_core::memory::Clock;
use tokio::time::Instant;

/// Where simulated time begins, in microseconds since the Unix epoch: any time will do.
const EPOCH_US: u64 = 1_700_000_000_000_000;

#[derive(Debug)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    /// A clock that began at this moment.
    pub(crate) fn since(start: Instant) -> Self {
        Self(start)
    }
}

impl Clock for PausedClock {
    fn now_us(&self) -> u64 {
        EPOCH_US + u64::try_from(self.0.elapsed().as_micros()).unwrap_or(0)
    }
}
