//! What was due when, and what became of it: written by all sessions, without a lock.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// All messages, by number.
#[derive(Debug)]
pub(super) struct Ledger {
    began: OnceLock<Instant>,
    interval: Duration,
    fates: Vec<AtomicU8>,
    /// How many others have got it.
    seen: Vec<AtomicU32>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fate {
    /// It is under way, or its answer was lost.
    Open = 0,
    Acked = 1,
    Refused = 2,
    /// It could not be put on the wire.
    NotSent = 3,
}

impl Ledger {
    pub(super) fn new(rate: f64, messages: usize) -> Self {
        Self {
            began: OnceLock::new(),
            interval: Duration::from_secs_f64(1.0 / rate),
            fates: (0..messages)
                .map(|_| AtomicU8::new(Fate::Open as u8))
                .collect(),
            seen: (0..messages).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// When a message is due: laid down by the first question.
    pub(super) fn due(&self, message: usize) -> Instant {
        let began = *self.began.get_or_init(Instant::now);
        began + self.interval.mul_f64(count(message))
    }

    /// How long ago a message was due, in microseconds.
    pub(super) fn late_by(&self, message: usize) -> u64 {
        let late = self.due(message).elapsed().as_micros();
        u64::try_from(late).unwrap_or(u64::MAX)
    }

    pub(super) fn set(&self, message: usize, fate: Fate) {
        if let Some(held) = self.fates.get(message) {
            held.store(fate as u8, Ordering::Relaxed);
        }
    }

    /// One more has got it; how many that are.
    pub(super) fn see(&self, message: usize) -> u32 {
        let seen = self.seen.get(message);
        seen.map_or(0, |seen| seen.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn of(&self, messages: Range<usize>) -> impl Iterator<Item = (Fate, u32)> {
        let fates = self.fates[messages.clone()].iter();
        let seen = self.seen[messages].iter();
        fates.zip(seen).map(|(fate, seen)| {
            let fate = match fate.load(Ordering::Relaxed) {
                1 => Fate::Acked,
                2 => Fate::Refused,
                3 => Fate::NotSent,
                _ => Fate::Open,
            };
            (fate, seen.load(Ordering::Relaxed))
        })
    }

    /// Whether nothing more is to come.
    pub(super) fn is_settled(&self, members: usize) -> bool {
        self.of(0..self.fates.len()).all(|(fate, seen)| match fate {
            Fate::Open => false,
            Fate::Acked => usize::try_from(seen).is_ok_and(|seen| seen + 1 >= members),
            Fate::Refused | Fate::NotSent => true,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}
