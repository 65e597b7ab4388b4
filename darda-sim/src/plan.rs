//! What a run does, drawn from its seed: who there is, what they do when, and what breaks when. A
//! plan is data, so that a failing one can be made shorter and run again.

use fastrand::Rng;
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
const SETUP_MS: u64 = 2_000;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let users = rng.usize(4..=8);
        let mut devices: Vec<usize> = (0..users).collect();
        devices.extend((0..users).filter(|_| rng.u8(..4) == 0));
        let talks = draw_talks(&mut rng, users);
        let active_ms = rng.u64(20_000..60_000);
        let mut plan = Self {
            seed,
            nodes: rng.usize(2..=4),
            users,
            devices,
            talks,
            session_queue: if rng.bool() { rng.usize(2..12) } else { 256 },
            weather_ms: [0, 2, 20][rng.usize(..3)],
            steps: Vec::new(),
            faults: draw_faults(&mut rng, active_ms),
            active_ms,
        };
        plan.draw_steps(&mut rng);
        plan
    }

    fn draw_steps(&mut self, rng: &mut Rng) {
        for device in 0..self.devices.len() {
            self.steps.push(Step {
                at_ms: rng.u64(..300),
                device,
                act: Act::Connect,
            });
        }
        for talk in 0..self.talks.len() {
            let device = match &self.talks[talk] {
                Talk::Direct(a, _) => *a,
                Talk::Group { device, .. } => *device,
            };
            let at_ms = rng.u64(400..SETUP_MS);
            self.steps.push(Step {
                at_ms,
                device,
                act: Act::Open { talk },
            });
        }
        for _ in 0..rng.usize(40..160) {
            let at_ms = rng.u64(SETUP_MS..self.active_ms);
            let device = rng.usize(..self.devices.len());
            let act = self.draw_act(rng, device);
            if act == Act::Drop {
                let back = at_ms + rng.u64(100..15_000);
                self.steps.push(Step {
                    at_ms: back,
                    device,
                    act: Act::Connect,
                });
            }
            self.steps.push(Step { at_ms, device, act });
        }
        self.steps.sort_by_key(|step| step.at_ms);
    }

    fn draw_act(&self, rng: &mut Rng, device: usize) -> Act {
        let talk = self.talk_of(rng, device);
        let user = rng.usize(..self.users);
        let pick = rng.u32(..);
        match rng.u8(..100) {
            0..40 => Act::Send {
                talk,
                burst: if rng.u8(..8) == 0 { 12 } else { rng.u8(1..4) },
            },
            40..45 => Act::SendAgain {
                pick,
                marked: rng.u8(..4) > 0,
            },
            45..48 => Act::Edit { pick },
            48..50 => Act::Delete { pick },
            50..54 => Act::React {
                pick,
                back: rng.u8(..3) == 0,
            },
            54..60 => Act::Add { talk, user },
            60..66 => Act::Remove { talk, user },
            66..68 => Act::Leave { talk },
            68 => Act::Rename { talk },
            69..71 => Act::Promote { talk, user },
            71..78 => Act::Mark {
                talk,
                seen: rng.bool(),
            },
            78..80 => Act::Type { talk },
            80..86 => {
                let readings = [
                    Reading::Members,
                    Reading::Receipts,
                    Reading::Presence,
                    Reading::History,
                ];
                Act::Read {
                    talk,
                    what: readings[rng.usize(..readings.len())],
                    pick,
                }
            }
            86..90 => Act::Lag {
                ms: rng.u64(100..5_000),
            },
            90..94 => Act::Drop,
            _ => Act::Move,
        }
    }

    /// Mostly a conversation that the device's user begins as a member of.
    fn talk_of(&self, rng: &mut Rng, device: usize) -> usize {
        let user = self.devices[device];
        let own: Vec<usize> = (0..self.talks.len())
            .filter(|talk| match &self.talks[*talk] {
                Talk::Direct(a, b) => *a == user || *b == user,
                Talk::Group {
                    device, members, ..
                } => self.devices[*device] == user || members.contains(&user),
            })
            .collect();
        if own.is_empty() || rng.u8(..10) == 0 {
            rng.usize(..self.talks.len())
        } else {
            own[rng.usize(..own.len())]
        }
    }
}

fn draw_talks(rng: &mut Rng, users: usize) -> Vec<Talk> {
    let mut talks = Vec::new();
    for number in 0..rng.usize(2..=4) {
        let first = rng.usize(..users);
        if number > 0 && rng.u8(..3) == 0 {
            let direct = Talk::Direct(first, (first + rng.usize(1..users)) % users);
            let Talk::Direct(a, b) = direct else { continue };
            if !talks.contains(&Talk::Direct(b, a)) && !talks.contains(&direct) {
                talks.push(direct);
            }
        } else {
            let members = (0..users)
                .filter(|user| *user != first && rng.u8(..3) > 0)
                .collect();
            talks.push(Talk::Group {
                device: first,
                members,
                joining: rng.bool(),
            });
        }
    }
    talks
}

/// Each kind of fault is in some of the runs, so that there are runs without it in which the checkers
/// are stricter.
fn draw_faults(rng: &mut Rng, active_ms: u64) -> Vec<Fault> {
    type Draw = fn(&mut Rng) -> Breakage;
    let kinds: [Draw; 15] = [
        |rng| Breakage::KillNode { pick: rng.u32(..) },
        |rng| Breakage::DrainNode { pick: rng.u32(..) },
        |_| Breakage::CacheForgets,
        |_| Breakage::CachePromoted,
        |_| Breakage::RegistryForgets,
        |_| Breakage::BrokerRestarts,
        |rng| Breakage::LiveDrops {
            percent: percent(rng),
        },
        |rng| Breakage::BrokerRepeats {
            percent: percent(rng),
        },
        |rng| Breakage::LiveReorders {
            percent: percent(rng),
        },
        |rng| Breakage::Refuses {
            port: port(rng),
            percent: percent(rng),
        },
        |rng| Breakage::FailsLate {
            port: port(rng),
            percent: percent(rng),
        },
        |rng| Breakage::FailsMidway {
            port: port(rng),
            percent: percent(rng),
        },
        |rng| Breakage::Delays {
            port: port(rng),
            ms: rng.u64(5..1_500),
        },
        |rng| Breakage::Hangs { port: port(rng) },
        |rng| Breakage::BrokerCuts {
            percent: percent(rng),
        },
    ];
    let mut faults = Vec::new();
    for kind in kinds {
        if rng.u8(..10) < 3 {
            for _ in 0..rng.usize(1..=3) {
                let at_ms = rng.u64(SETUP_MS / 2..active_ms);
                let for_ms = rng.u64(100..8_000);
                faults.push(Fault {
                    at_ms,
                    for_ms,
                    breakage: kind(rng),
                });
            }
        }
    }
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

fn port(rng: &mut Rng) -> Port {
    [Port::Broker, Port::Store, Port::Cache, Port::Registry][rng.usize(..4)]
}

fn percent(rng: &mut Rng) -> u8 {
    [10, 30, 100][rng.usize(..3)]
}
