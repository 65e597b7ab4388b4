//! Everybody in a group reads a message at the same moment: what all the marks cost with marks gathered
//! as long as the server does by default, with marks not waited for, and what they would cost if each
//! were told to each member by itself, at the bare fan-out's price. And then everybody goes, comes back,
//! and asks who is there.

use std::time::Duration;

use super::readers::{Group, Storm};
use crate::Result;
use crate::bench::Size;
use crate::bench::room::Room;
use crate::process::{Kind, Server, cpu};
use crate::real::{BackEnds, System, Tap};
use crate::report::{Rounds, Table};

/// How long the nodes gather marks, in milliseconds: by default, and as short as can be.
const WINDOWS: [u32; 2] = [100, 0];
/// Marks that each member sets: delivered, and seen.
const MARKS: usize = 2;
/// Bytes of an event that tells one mark.
const EVENT: usize = 150;
/// Messages under way at the bare fan-out, as many as its best rate needs.
const WINDOW: usize = 64;

/// How many read, and how often in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readers {
    /// Members of groups. So many that events go to all nodes: more than 32.
    pub(crate) members: &'static [usize],
    pub(crate) storms: u32,
}

pub(crate) fn run(size: &Size) -> Result<()> {
    let Some(back_ends) = BackEnds::find("real-receipts")? else {
        return Ok(());
    };
    for &members in size.readers.members {
        let mut bare = Costs::default();
        let mut ours: [Costs; WINDOWS.len()] = Default::default();
        let mut presence = Costs::default();
        for _ in 0..size.rounds {
            if size.kinds.contains(&Kind::Bare) {
                bare.push(one_by_one(members, size)?);
            }
            if size.kinds.contains(&Kind::Darda) {
                for (window, costs) in WINDOWS.into_iter().zip(&mut ours) {
                    let setting = ("DARDA_RECEIPT_WINDOW_MS", window.to_string());
                    let system = System::start_with(&back_ends, 2, &[setting])?;
                    let mut group = Group::open(&system.addresses(), members)?;
                    costs.push(read(&back_ends, &system, &mut group, size)?);
                    // Presence is not gathered, so that one of the settings will do.
                    if window == WINDOWS[0] {
                        presence.push(come_back(&back_ends, &system, &mut group)?);
                    }
                }
            }
        }
        print(members, &bare, &ours, &presence);
    }
    Ok(())
}

/// What one storm cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    frames: f64,
    kibibytes: f64,
    broker: f64,
    cpu: Duration,
    time: Duration,
}

/// Of many storms, by round.
#[derive(Debug, Default)]
struct Costs {
    frames: Rounds,
    kibibytes: Rounds,
    broker: Rounds,
    cpu: Rounds,
    time: Rounds,
}

impl Costs {
    fn push(&mut self, cost: Cost) {
        self.frames.push(cost.frames);
        self.kibibytes.push(cost.kibibytes);
        self.broker.push(cost.broker);
        self.cpu.push(cost.cpu.as_secs_f64() * 1e3);
        self.time.push(cost.time.as_secs_f64() * 1e3);
    }

    fn cells(&self) -> [String; 5] {
        [
            self.frames.show(0),
            self.kibibytes.show(0),
            self.broker.show(0),
            self.cpu.show(0),
            self.time.show(0),
        ]
    }
}

/// Each mark told to each member by itself: the deliveries are counted out, and their price is that of
/// bare servers which do nothing else.
fn one_by_one(members: usize, size: &Size) -> Result<Cost> {
    let servers = [Server::start(Kind::Bare)?, Server::start(Kind::Bare)?];
    let at = [servers[0].address, servers[1].address];
    let mut room = Room::open(Kind::Bare, &at, members)?;
    let size = &Size {
        text: EVENT,
        ..size.clone()
    };
    let figures = room.measure(WINDOW, size, &|| cpu(&servers))?;
    let frames = (MARKS * members * members) as f64;
    Ok(Cost {
        frames,
        kibibytes: frames * EVENT as f64 / 1024.0,
        broker: (MARKS * members) as f64,
        cpu: Duration::from_secs_f64(figures.cpu_per_million * frames / 1e6),
        time: Duration::from_secs_f64(frames / figures.rate),
    })
}

/// Storms of marks, one after a message each: the mean of them.
fn read(back_ends: &BackEnds, system: &System, group: &mut Group, size: &Size) -> Result<Cost> {
    // The first one loads the members.
    group.send(size)?;
    group.read()?;
    let tap = Tap::of(system, back_ends)?;
    let (mut all, mut used) = (Storm::default(), Duration::ZERO);
    for _ in 0..size.readers.storms {
        group.send(size)?;
        system.await_written()?;
        let before = cpu(&system.gateways)?;
        let storm = group.read()?;
        used += cpu(&system.gateways)?.saturating_sub(before);
        all = all.and(&storm);
    }
    // A message is an event as well.
    let broker = tap.heard()?.saturating_sub(size.readers.storms.into());
    group.judge()?;
    let storms = f64::from(size.readers.storms);
    Ok(Cost {
        frames: all.frames as f64 / storms,
        kibibytes: all.bytes as f64 / 1024.0 / storms,
        broker: broker as f64 / storms,
        cpu: used / size.readers.storms,
        time: all.time / size.readers.storms,
    })
}

/// All are cut off, come back at once, and ask who is there.
fn come_back(back_ends: &BackEnds, system: &System, group: &mut Group) -> Result<Cost> {
    let tap = Tap::of(system, back_ends)?;
    group.go()?;
    System::await_empty(&system.gateways)?;
    let before = cpu(&system.gateways)?;
    let storm = group.come()?;
    let used = cpu(&system.gateways)?.saturating_sub(before);
    group.judge_presence()?;
    Ok(Cost {
        frames: storm.frames as f64,
        kibibytes: storm.bytes as f64 / 1024.0,
        broker: tap.heard()? as f64,
        cpu: used,
        time: storm.time,
    })
}

fn print(members: usize, bare: &Costs, ours: &[Costs], presence: &Costs) {
    let columns = [
        "",
        "frames",
        "KiB",
        "broker messages",
        "gateways' CPU ms",
        "ms until all know",
        "CPU ratio",
    ];
    let title = format!(
        "real servers: {members} members mark one message delivered and seen at once, a storm"
    );
    let mut table = Table::new(title, &columns);
    let name = "each mark to each by itself, counted, at the bare fan-out's price";
    table.row([name.to_owned()].into_iter().chain(bare.cells()));
    for (window, costs) in WINDOWS.into_iter().zip(ours) {
        let ratio = costs.cpu.over(&bare.cpu).show(2);
        let name = [format!("darda, gathered for {window} ms")];
        table.row(name.into_iter().chain(costs.cells()).chain([ratio]));
    }
    table.print();

    let title = format!("real servers: {members} members come back at once and ask who is there");
    let mut table = Table::new(title, &columns[..6]);
    // Told of each of the others that he goes and that he comes.
    let pushed = 2 * members * (members - 1);
    table.row([
        "each change to each by itself, counted".into(),
        pushed.to_string(),
    ]);
    table.row(
        ["darda, presence on request".to_owned()]
            .into_iter()
            .chain(presence.cells()),
    );
    table.print();
}
