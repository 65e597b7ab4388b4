//! The benchmarks, one a file, and the sizes that they run at.

mod direct;
mod fanout;
mod idle;
mod storm;

use std::time::Duration;

use crate::Result;
use crate::process::Kind;

type Program = fn(&Size) -> Result<()>;

/// The programs of a name.
pub(crate) fn named(name: &str) -> Option<Vec<Program>> {
    match name {
        "idle" => Some(vec![idle::run]),
        "fanout" => Some(vec![fanout::run]),
        "direct" => Some(vec![direct::run]),
        "storm" => Some(vec![storm::run]),
        "all" => Some(vec![idle::run, fanout::run, direct::run, storm::run]),
        _ => None,
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) rounds: usize,
    /// The servers to measure.
    pub(crate) kinds: &'static [Kind],
    /// Time of one measurement, after a quarter of it to warm up.
    time: Duration,
    /// Bytes of a message's text.
    text: usize,
    idle: usize,
    sessions: &'static [usize],
    windows: &'static [usize],
    pairs: usize,
    in_flight: usize,
    /// Messages a second under light load, and how many of them.
    light: (u32, u32),
    storm: usize,
    missed: usize,
}

impl Size {
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        kinds: &[Kind::Bare, Kind::Darda],
        time: Duration::from_secs(2),
        text: 200,
        idle: 5_000,
        sessions: &[100, 1_000],
        windows: &[1, 16, 64, 256],
        pairs: 50,
        in_flight: 16,
        light: (200, 2_000),
        storm: 2_000,
        missed: 20,
    };

    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        time: Duration::from_millis(200),
        idle: 100,
        sessions: &[20],
        windows: &[1, 64],
        pairs: 5,
        light: (200, 40),
        storm: 50,
        ..Self::FULL
    };
}
