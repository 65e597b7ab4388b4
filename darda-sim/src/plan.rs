//! What a run does, drawn from its seed: who there is, what they do when, and what breaks when. A
//! plan is data, so that a failing one can be made shorter and run again.

use serde::{Deserialize, Serialize};

/// A run before it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What every other draw of the run comes from.
    pub seed: u64,
    /// Nodes at the start.
    pub nodes: usize,
    /// How many users there are.
    pub users: usize,
    /// The user of each device.
    pub devices: Vec<usize>,
    /// The conversations.
    pub talks: Vec<Talk>,
    /// Events that may wait for a session.
    pub session_queue: usize,
    /// How long a port's call takes at most even when nothing is broken, in milliseconds: it makes
    /// concurrent calls overtake each other.
    pub weather_ms: u64,
    /// What the clients do, by time.
    pub steps: Vec<Step>,
    /// What breaks, by time.
    pub faults: Vec<Fault>,
    /// When the faults end, in milliseconds.
    pub active_ms: u64,
}

/// A conversation that comes to be in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Talk {
    /// Between two users.
    Direct(usize, usize),
    /// Made by a device, with these users.
    Group {
        /// The device that makes it.
        device: usize,
        /// Its first members besides.
        members: Vec<usize>,
        /// Whether later members' history starts at joining.
        joining: bool,
    },
}

/// What a client does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// On which device.
    pub device: usize,
    /// What.
    pub act: Act,
}

/// What a client does. Choices that depend on what there is by then are made by `pick`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Act {
    Open {
        talk: usize,
    },
    Send {
        talk: usize,
        burst: u8,
    },
    /// Sends something again that was acknowledged; `marked`: and says so.
    SendAgain {
        pick: u32,
        marked: bool,
    },
    Edit {
        pick: u32,
    },
    Delete {
        pick: u32,
    },
    React {
        pick: u32,
        back: bool,
    },
    Add {
        talk: usize,
        user: usize,
    },
    Remove {
        talk: usize,
        user: usize,
    },
    Leave {
        talk: usize,
    },
    Rename {
        talk: usize,
    },
    Promote {
        talk: usize,
        user: usize,
    },
    Mark {
        talk: usize,
        seen: bool,
    },
    Type {
        talk: usize,
    },
    Read {
        talk: usize,
        what: Reading,
        pick: u32,
    },
    /// Does not read its events for a while.
    Lag {
        ms: u64,
    },
    /// Goes away without a word.
    Drop,
    Connect,
    /// Goes away and comes back at once, to any node.
    Move,
}

/// What a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Reading {
    Members,
    Receipts,
    Presence,
    History,
}

/// Something that breaks, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// From when, in milliseconds.
    pub at_ms: u64,
    /// For how long, where it lasts.
    pub for_ms: u64,
    /// What.
    pub breakage: Breakage,
}

/// A port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Port {
    Broker,
    Store,
    Cache,
    Registry,
}

/// Something that breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Breakage {
    /// A node dies without a goodbye; another one starts when the time is over.
    KillNode {
        /// Which of those that live.
        pick: u32,
    },
    /// A node drains; another one starts at once.
    DrainNode {
        /// Which of those that live.
        pick: u32,
    },
    /// The cache loses all of its memory.
    CacheForgets,
    /// The cache is replaced by a copy that lags by the fault's time.
    CachePromoted,
    /// The registry loses all of its memory.
    RegistryForgets,
    /// The broker ends all connections.
    BrokerRestarts,
    /// The broker loses live events.
    LiveDrops {
        /// How many of a hundred.
        percent: u8,
    },
    /// The broker delivers again.
    BrokerRepeats {
        /// How many of a hundred.
        percent: u8,
    },
    /// The broker's live events change places.
    LiveReorders {
        /// How many of a hundred.
        percent: u8,
    },
    /// A port's calls fail without taking effect.
    Refuses {
        /// Which.
        port: Port,
        /// How many of a hundred.
        percent: u8,
    },
    /// A port's calls fail after taking effect.
    FailsLate {
        /// Which.
        port: Port,
        /// How many of a hundred.
        percent: u8,
    },
    /// A port's calls take their time.
    Delays {
        /// Which.
        port: Port,
        /// At most, in milliseconds.
        ms: u64,
    },
    /// A port's calls with a batch fail after a part of it took effect.
    FailsMidway {
        /// Which.
        port: Port,
        /// How many of a hundred.
        percent: u8,
    },
    /// A port's calls do not come back before the time is over.
    Hangs {
        /// Which.
        port: Port,
    },
    /// The broker's streams end with an error.
    BrokerCuts {
        /// How many of a hundred batches.
        percent: u8,
    },
}

/// After the faults: time for nodes to notice, hand over again and tell.
pub const QUIET_MS: u64 = 150_000;
