//! What was due when, and what became of it: written by all sessions, without a lock.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::mix::Mix;

/// The messages of one run, by number: those of the warm-up, then those that are measured.
#[derive(Debug)]
pub(super) struct Ledger {
    mix: Arc<Mix>,
    began: OnceLock<Instant>,
    interval: Duration,
    warm_up: Range<usize>,
    measured: Range<usize>,
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
    /// `rate` messages a second: numbers from `first` on, so many for the warm-up and so many measured.
    pub(super) fn new(
        mix: Arc<Mix>,
        rate: f64,
        first: usize,
        warm_up: usize,
        measured: usize,
    ) -> Self {
        let messages = warm_up + measured;
        Self {
            mix,
            began: OnceLock::new(),
            interval: Duration::from_secs_f64(1.0 / rate),
            warm_up: first..first + warm_up,
            measured: first + warm_up..first + messages,
            fates: (0..messages)
                .map(|_| AtomicU8::new(Fate::Open as u8))
                .collect(),
            seen: (0..messages).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    pub(super) fn mix(&self) -> &Mix {
        &self.mix
    }

    pub(super) fn warm_up(&self) -> Range<usize> {
        self.warm_up.clone()
    }

    pub(super) fn measured(&self) -> Range<usize> {
        self.measured.clone()
    }

    /// Whether a message is of this run. What an earlier one sent may come late.
    pub(super) fn holds(&self, message: usize) -> bool {
        (self.warm_up.start..self.measured.end).contains(&message)
    }

    pub(super) fn is_measured(&self, message: usize) -> bool {
        self.measured.contains(&message)
    }

    /// Whether the warm-up is over.
    pub(super) fn is_measuring(&self) -> bool {
        Instant::now() >= self.due(self.measured.start)
    }

    /// When a message is due: laid down by the first question.
    pub(super) fn due(&self, message: usize) -> Instant {
        let began = *self.began.get_or_init(Instant::now);
        let place = message.saturating_sub(self.warm_up.start);
        began + self.interval.mul_f64(count(place))
    }

    /// How long ago a message was due, in microseconds.
    pub(super) fn late_by(&self, message: usize) -> u64 {
        let late = self.due(message).elapsed().as_micros();
        u64::try_from(late).unwrap_or(u64::MAX)
    }

    pub(super) fn set(&self, message: usize, fate: Fate) {
        if let Some(held) = self.fates.get(self.place(message)) {
            held.store(fate as u8, Ordering::Relaxed);
        }
    }

    /// One more has got it; whether that was the last one of the others.
    pub(super) fn see(&self, message: usize) -> bool {
        let seen = self.seen.get(self.place(message));
        let seen = seen.map_or(0, |seen| seen.fetch_add(1, Ordering::Relaxed) + 1);
        usize::try_from(seen).is_ok_and(|seen| seen == self.mix.others(message))
    }

    /// What became of the messages that are measured, and how many of the others did not get each.
    pub(super) fn outcome(&self) -> impl Iterator<Item = (Fate, usize)> {
        self.of(self.measured.clone())
    }

    /// Whether nothing more is to come.
    pub(super) fn is_settled(&self) -> bool {
        self.of(self.warm_up.start..self.measured.end)
            .all(|(fate, missing)| match fate {
                Fate::Open => false,
                Fate::Acked => missing == 0,
                Fate::Refused | Fate::NotSent => true,
            })
    }

    fn of(&self, messages: Range<usize>) -> impl Iterator<Item = (Fate, usize)> {
        messages.map(|message| {
            let place = self.place(message);
            let fate = match self.fates[place].load(Ordering::Relaxed) {
                1 => Fate::Acked,
                2 => Fate::Refused,
                3 => Fate::NotSent,
                _ => Fate::Open,
            };
            let seen = self.seen[place].load(Ordering::Relaxed);
            let seen = usize::try_from(seen).unwrap_or(usize::MAX);
            (fate, self.mix.others(message).saturating_sub(seen))
        })
    }

    fn place(&self, message: usize) -> usize {
        message.wrapping_sub(self.warm_up.start)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::mix::Kind;
    use super::*;

    fn of_four() -> Ledger {
        let mix = Mix::new(Kind::Even, 4, 4).unwrap();
        Ledger::new(Arc::new(mix), 10.0, 100, 2, 3)
    }

    #[test]
    fn a_message_is_with_everybody_when_all_the_others_have_it() {
        let ledger = of_four();
        assert!(!ledger.see(102));
        assert!(!ledger.see(102));
        assert!(ledger.see(102));
        ledger.set(102, Fate::Acked);
        ledger.set(103, Fate::Acked);
        let outcome: Vec<_> = ledger.outcome().collect();
        assert_eq!(
            outcome,
            [(Fate::Acked, 0), (Fate::Acked, 3), (Fate::Open, 3)]
        );
    }

    #[test]
    fn it_is_settled_when_each_message_is_with_everybody_or_was_refused() {
        let ledger = of_four();
        for message in 100..104 {
            ledger.set(message, Fate::Refused);
        }
        assert!(!ledger.is_settled());
        ledger.set(104, Fate::Acked);
        assert!(!ledger.is_settled());
        for _ in 0..3 {
            ledger.see(104);
        }
        assert!(ledger.is_settled());
    }

    #[test]
    fn what_an_earlier_run_sent_is_none_of_it() {
        let ledger = of_four();
        assert!(!ledger.holds(99) && ledger.holds(100) && ledger.holds(104) && !ledger.holds(105));
        assert!(!ledger.is_measured(101) && ledger.is_measured(102));
        ledger.set(99, Fate::Acked);
        assert!(!ledger.see(99));
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_due_evenly_from_the_first_question_on() {
        let ledger = of_four();
        let began = ledger.due(100);
        assert_eq!(ledger.due(103) - began, Duration::from_millis(300));
        assert!(!ledger.is_measuring());
        tokio::time::advance(Duration::from_millis(350)).await;
        assert_eq!(ledger.late_by(103), 50_000);
        assert!(ledger.is_measuring());
    }
}
