//! The benchmarks, one a file, and the sizes that they run at.

mod direct;
mod fanout;
mod idle;
mod real;
mod room;
mod storm;

use std::time::Duration;

use self::real::chat::{Chat, Search};
use self::real::hot::Hot;
use self::real::pressure::Pressure;
use self::real::receipts::Readers;
use crate::Result;
use crate::process::Kind;

type Program = fn(&Size) -> Result<()>;

/// On ports in memory.
const MEMORY: &[Program] = &[idle::run, fanout::run, direct::run, storm::run];
/// On real servers.
const REAL: &[Program] = &[
    real::sends::run,
    real::hop::run,
    real::history::run,
    real::pressure::run,
    real::storm::run,
    real::hot::run,
    real::receipts::run,
    real::chat::run,
    real::ports::run,
];

/// The programs of a name.
pub(crate) fn named(name: &str) -> Option<Vec<Program>> {
    match name {
        "idle" => Some(vec![idle::run]),
        "fanout" => Some(vec![fanout::run]),
        "direct" => Some(vec![direct::run]),
        "storm" => Some(vec![storm::run]),
        "real-sends" => Some(vec![real::sends::run]),
        "real-hop" => Some(vec![real::hop::run]),
        "real-history" => Some(vec![real::history::run]),
        "real-pressure" => Some(vec![real::pressure::run]),
        "real-storm" => Some(vec![real::storm::run]),
        "real-hot" => Some(vec![real::hot::run]),
        "real-receipts" => Some(vec![real::receipts::run]),
        "real-chat" => Some(vec![real::chat::run]),
        "real-ports" => Some(vec![real::ports::run]),
        "memory" => Some(MEMORY.to_vec()),
        "real" => Some(REAL.to_vec()),
        "all" => Some([MEMORY, REAL].concat()),
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
    /// As `time`, on real servers.
    real_time: Duration,
    /// As `light`, from one gateway to another.
    hop: (u32, u32),
    /// Entries of the long log, and pages read of each kind.
    pub(crate) entries: u64,
    pages: usize,
    pressure: Pressure,
    real_storm: usize,
    hot: Hot,
    readers: Readers,
    chat: Chat,
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
        real_time: Duration::from_secs(8),
        hop: (100, 1_500),
        entries: 1_000_000,
        pages: 200,
        pressure: Pressure {
            pairs: 8,
            in_flight: 100,
            working: 15,
            stopped: 60,
            busy: 10,
            again: 15,
        },
        real_storm: 5_000,
        hot: Hot {
            members: 5_000,
            windows: &[1, 16, 64],
            time: Duration::from_secs(4),
        },
        readers: Readers {
            members: &[100, 500],
            storms: 10,
        },
        chat: Chat {
            sessions: 5_000,
            rate: 200,
            seconds: 10,
            warm_up: 3,
            search: Some(Search {
                within: 200,
                minutes: 10,
            }),
        },
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
        real_time: Duration::from_millis(500),
        hop: (20, 30),
        entries: 3_000,
        pages: 20,
        pressure: Pressure {
            pairs: 4,
            in_flight: 20,
            working: 1,
            stopped: 1,
            busy: 1,
            again: 1,
        },
        real_storm: 50,
        hot: Hot {
            members: 50,
            windows: &[1, 64],
            time: Duration::from_millis(200),
        },
        readers: Readers {
            members: &[40],
            storms: 2,
        },
        chat: Chat {
            sessions: 60,
            rate: 20,
            seconds: 1,
            warm_up: 1,
            search: None,
        },
        ..Self::FULL
    };
}
