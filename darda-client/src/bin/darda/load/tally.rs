//! What the sessions noted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};

use crate::Result;

/// The longest time that is told apart: 100 s, in microseconds.
const LONGEST: u64 = 100_000_000;
/// Digits of a time that are kept.
const DIGITS: u8 = 3;
/// A tally for each session would be gigabytes of histograms; one for all would be waited for.
const TALLIES: usize = 16;

/// Where the sessions of a run note what they see.
#[derive(Debug)]
pub(super) struct Board {
    tallies: Vec<Mutex<Tally>>,
}

impl Board {
    pub(super) fn new() -> Result<Self> {
        let tallies = (0..TALLIES).map(|_| Ok(Mutex::new(Tally::new()?)));
        Ok(Self {
            tallies: tallies.collect::<Result<_>>()?,
        })
    }

    /// Where a session notes what it sees.
    pub(super) fn of(&self, session: usize) -> MutexGuard<'_, Tally> {
        self.tallies[session % TALLIES].lock()
    }

    /// All together.
    pub(super) fn total(&self) -> Result<Tally> {
        let mut total = Tally::new()?;
        for tally in &self.tallies {
            total.add(&tally.lock());
        }
        Ok(total)
    }
}

/// Counts, and times in microseconds from when a message was due.
#[derive(Debug)]
pub(super) struct Tally {
    /// Until it was put on the wire.
    pub(super) sent: Histogram<u64>,
    /// Until its acknowledgement.
    pub(super) acked: Histogram<u64>,
    /// Until each of the others had it.
    pub(super) delivered: Histogram<u64>,
    /// Until the last of the others had it.
    pub(super) last: Histogram<u64>,
    /// Refusals by code.
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) doubled: u64,
    /// Times that the server said that it dropped events for this session.
    pub(super) gaps: u64,
    /// Receipts that were put on the wire.
    pub(super) marked: u64,
    /// Typing that was put on the wire.
    pub(super) typed: u64,
    /// Events that told of others' receipts and typing.
    pub(super) told: u64,
    /// Connections that had ended before the load did, by close code.
    pub(super) closed: BTreeMap<u16, u64>,
}

impl Tally {
    fn new() -> Result<Self> {
        let times = || Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Ok(Self {
            sent: times()?,
            acked: times()?,
            delivered: times()?,
            last: times()?,
            refused: BTreeMap::new(),
            doubled: 0,
            gaps: 0,
            marked: 0,
            typed: 0,
            told: 0,
            closed: BTreeMap::new(),
        })
    }

    pub(super) fn refuse(&mut self, code: impl Into<String>) {
        *self.refused.entry(code.into()).or_default() += 1;
    }

    /// All tallies have the same bounds, so that nothing is left out.
    fn add(&mut self, other: &Self) {
        self.sent += &other.sent;
        self.acked += &other.acked;
        self.delivered += &other.delivered;
        self.last += &other.last;
        self.doubled += other.doubled;
        self.gaps += other.gaps;
        self.marked += other.marked;
        self.typed += other.typed;
        self.told += other.told;
        for (code, times) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += times;
        }
        for (code, times) in &other.closed {
            *self.closed.entry(*code).or_default() += times;
        }
    }
}
