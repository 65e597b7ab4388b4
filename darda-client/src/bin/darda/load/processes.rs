//! CPU and memory of what is measured, part by part, as Linux tells them.
//!
//! A part is one process or several, each with all its descendants: a database serves each connection in a
//! child of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::Result;

const SAMPLE: Duration = Duration::from_millis(500);
/// Linux counts CPU in hundredths of a second for programs, whatever its own clock is.
const TICKS: u64 = 100;

/// A part to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    name: String,
    pids: BTreeSet<u32>,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=PID or NAME=PID,PID…");
        let (name, pids) = text.split_once('=').ok_or_else(wrong)?;
        let pids = pids.split(',').map(|pid| pid.parse().map_err(|_| wrong()));
        Ok(Self {
            name: name.to_owned(),
            pids: pids.collect::<Result<_, _>>()?,
        })
    }
}

/// What a part used.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub(super) name: String,
    pub(super) cpu: Duration,
    /// In cores, during the measurement.
    pub(super) share: f64,
    /// The most resident memory, in KiB.
    pub(super) memory_kib: u64,
}

/// Looks at parts while it lives.
#[derive(Debug)]
pub(super) struct Watch {
    parts: Vec<Named>,
    before: Vec<Duration>,
    began: Instant,
    highest: Arc<Vec<AtomicU64>>,
    _looking: AbortOnDropHandle<()>,
}

impl Watch {
    pub(super) fn start(named: &[Named]) -> Result<Self> {
        let parts = united(named);
        let before = all_cpu(&parts)?;
        let highest: Arc<Vec<_>> = Arc::new(parts.iter().map(|_| AtomicU64::new(0)).collect());
        let looking = {
            let (parts, highest) = (parts.clone(), highest.clone());
            tokio::spawn(async move {
                // Who watches nothing looks at nothing.
                while !parts.is_empty() {
                    note_memory(&parts, &highest);
                    sleep(SAMPLE).await;
                }
            })
        };
        Ok(Self {
            parts,
            before,
            began: Instant::now(),
            highest,
            _looking: AbortOnDropHandle::new(looking),
        })
    }

    pub(super) fn finish(self) -> Result<Vec<Used>> {
        let took = self.began.elapsed();
        let after = all_cpu(&self.parts)?;
        note_memory(&self.parts, &self.highest);
        let parts = self.parts.into_iter().zip(self.before).zip(after);
        Ok(parts
            .zip(self.highest.iter())
            .map(|(((part, before), after), highest)| {
                let cpu = after.saturating_sub(before);
                Used {
                    name: part.name,
                    cpu,
                    share: cpu.as_secs_f64() / took.as_secs_f64(),
                    memory_kib: highest.load(Ordering::Relaxed),
                }
            })
            .collect())
    }
}

/// Parts of the same name are one.
fn united(named: &[Named]) -> Vec<Named> {
    let mut parts: Vec<Named> = Vec::new();
    for part in named {
        match parts.iter_mut().find(|it| it.name == part.name) {
            Some(known) => known.pids.extend(&part.pids),
            None => parts.push(part.clone()),
        }
    }
    parts
}

/// What one process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// Its own, and that of its children that have ended: so what a child used stays when it ends.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        let pid = text.split(' ').next()?.parse().ok()?;
        // The program's name, in brackets, may hold anything.
        let fields = text.rsplit(')').next()?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let ticks = fields.get(11..15)?.iter();
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            ticks: ticks.filter_map(|field| field.parse::<u64>().ok()).sum(),
        })
    }
}

/// All processes, by number.
type Table = BTreeMap<u32, Stat>;

fn table() -> Result<Table> {
    let processes = std::fs::read_dir("/proc")
        .map_err(|error| format!("--pid needs Linux's /proc: {error}"))?;
    let stats = processes.filter_map(|entry| {
        let path = entry.ok()?.path();
        path.file_name()?.to_str()?.parse::<u32>().ok()?;
        // One that ended meanwhile is none.
        let stat = Stat::parse(&std::fs::read_to_string(path.join("stat")).ok()?)?;
        Some((stat.pid, stat))
    });
    Ok(stats.collect())
}

/// Processes and their descendants, each once.
fn descendants(table: &Table, roots: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut found = roots.clone();
    loop {
        let children = table
            .values()
            .filter(|it| found.contains(&it.parent) && !found.contains(&it.pid));
        let children: Vec<_> = children.map(|it| it.pid).collect();
        if children.is_empty() {
            return found;
        }
        found.extend(children);
    }
}

/// What each part has used since it began.
fn all_cpu(parts: &[Named]) -> Result<Vec<Duration>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let table = table()?;
    let used = parts.iter().map(|part| cpu(&table, part));
    Ok(used.collect::<Result<_, _>>()?)
}

fn cpu(table: &Table, part: &Named) -> Result<Duration, String> {
    let Named { name, pids } = part;
    if let Some(gone) = pids.iter().find(|pid| !table.contains_key(pid)) {
        return Err(format!("{name}: there is no process {gone}"));
    }
    let all = descendants(table, pids);
    let stats = all.iter().filter_map(|pid| table.get(pid));
    let ticks: u64 = stats.map(|stat| stat.ticks).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS))
}

fn note_memory(parts: &[Named], highest: &[AtomicU64]) {
    if parts.is_empty() {
        return;
    }
    let table = table().unwrap_or_default();
    for (part, highest) in parts.iter().zip(highest) {
        let now = memory_kib(&table, part);
        highest.fetch_max(now, Ordering::Relaxed);
    }
}

/// Resident memory: what is each process's own, and once what they may share.
fn memory_kib(table: &Table, part: &Named) -> u64 {
    let mut own = 0;
    let mut shared = 0;
    for pid in descendants(table, &part.pids) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        let status = status.unwrap_or_default();
        let kib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
            kib.unwrap_or(0_u64)
        };
        own += kib("RssAnon:");
        shared = shared.max(kib("RssFile:") + kib("RssShmem:"));
    }
    own + shared
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use std::io::Write as _;

    use super::*;

    fn stat(pid: u32, parent: u32, ticks: u64) -> Stat {
        Stat { pid, parent, ticks }
    }

    fn part(text: &str) -> Named {
        text.parse().unwrap()
    }

    #[test]
    fn a_part_is_one_process_or_several() {
        assert_eq!(part("store=7").pids, BTreeSet::from([7]));
        let gateways = part("gateway=1,2");
        assert_eq!(gateways.pids, BTreeSet::from([1, 2]));
        for wrong in ["gateway", "gateway=", "gateway=1,", "gateway=one"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
        let united = united(&[part("a=1"), part("b=2"), part("a=3")]);
        assert_eq!(united, [part("a=1,3"), part("b=2")]);
    }

    #[test]
    fn a_processs_line_is_read_whatever_its_name_is() {
        let line = "42 (a ) b) S 7 42 42 0 -1 4194560 100 0 0 0 30 12 5 3 20 0 1 0 100 1000 10";
        assert_eq!(Stat::parse(line), Some(stat(42, 7, 50)));
        assert_eq!(Stat::parse("42 (a) S 7 42"), None);
    }

    #[test]
    fn a_processs_descendants_are_summed_with_it_and_nobody_elses() {
        let stats = [
            stat(1, 0, 1_000),
            stat(10, 1, 100),
            stat(11, 10, 20),
            stat(12, 11, 3),
            stat(20, 1, 5_000),
            stat(21, 20, 7),
        ];
        let table: Table = stats.into_iter().map(|stat| (stat.pid, stat)).collect();
        let used = |text| cpu(&table, &part(text)).map(|used| used.as_millis());
        assert_eq!(used("store=10"), Ok(1_230));
        // One that is another's child counts once.
        assert_eq!(used("store=10,11"), Ok(1_230));
        assert_eq!(used("store=11,21"), Ok(300));
        assert!(used("store=10,13").is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_child_used_counts_while_it_lives_and_after_it_ended() {
        // A parent that does nothing itself, and a child that is busy and then waits to be let go.
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read go";
        let mut parent = std::process::Command::new("sh")
            .args(["-c", &format!("sh -c '{busy}'; read go")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let store = part(&format!("store={}", parent.id()));
        let family = || descendants(&table().unwrap(), &store.pids).len();
        let used = || cpu(&table().unwrap(), &store).unwrap();
        while family() < 2 || used() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        assert!(memory_kib(&table().unwrap(), &store) > 0);
        let living = used();
        writeln!(parent.stdin.as_mut().unwrap()).unwrap();
        while family() > 1 {
            std::thread::yield_now();
        }
        assert!(used() >= living);
        drop(parent.stdin.take());
        parent.wait().unwrap();
    }
}
