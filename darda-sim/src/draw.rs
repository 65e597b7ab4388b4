//! Draws a plan from its seed.

use fastrand::Rng;

use crate::plan::{Act, Breakage, Fault, Plan, Port, Reading, Step, Talk};

/// The first conversations are made before this, in milliseconds.
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
                let breakage = kind(rng);
                let longest_ms = match breakage {
                    // Longer than any call may take.
                    Breakage::Hangs { .. } => 25_000,
                    _ => 8_000,
                };
                faults.push(Fault {
                    at_ms,
                    for_ms: rng.u64(100..longest_ms),
                    breakage,
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
