//! CPU and memory of the processes that are measured, as Linux tells them.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::Result;

const SAMPLE: Duration = Duration::from_millis(200);
/// Linux counts CPU in hundredths of a second for programs, whatever its own clock is.
const TICKS: u64 = 100;

/// A process to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    name: String,
    pid: u32,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=PID");
        let (name, pid) = text.split_once('=').ok_or_else(wrong)?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.parse().map_err(|_| wrong())?,
        })
    }
}

/// What a process used.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub(super) name: String,
    pub(super) cpu: Duration,
    /// Of one core, during the measurement.
    pub(super) share: f64,
    /// The most resident memory, in KiB.
    pub(super) memory_kib: u64,
}

/// Looks at processes while it lives.
#[derive(Debug)]
pub(super) struct Watch {
    processes: Vec<Named>,
    before: Vec<Duration>,
    began: Instant,
    highest: Arc<Vec<AtomicU64>>,
    _looking: AbortOnDropHandle<()>,
}

impl Watch {
    pub(super) fn start(processes: &[Named]) -> Result<Self> {
        let before = processes.iter().map(cpu).collect::<Result<_>>()?;
        let highest: Arc<Vec<_>> = Arc::new(processes.iter().map(|_| AtomicU64::new(0)).collect());
        let looking = {
            let (processes, highest) = (processes.to_vec(), highest.clone());
            tokio::spawn(async move {
                loop {
                    for (process, highest) in processes.iter().zip(highest.iter()) {
                        highest.fetch_max(memory_kib(process), Ordering::Relaxed);
                    }
                    sleep(SAMPLE).await;
                }
            })
        };
        Ok(Self {
            processes: processes.to_vec(),
            before,
            began: Instant::now(),
            highest,
            _looking: AbortOnDropHandle::new(looking),
        })
    }

    pub(super) fn finish(self) -> Result<Vec<Used>> {
        let took = self.began.elapsed();
        let processes = self
            .processes
            .iter()
            .zip(&self.before)
            .zip(self.highest.iter());
        processes
            .map(|((process, before), highest)| {
                let cpu = cpu(process)?.saturating_sub(*before);
                Ok(Used {
                    name: process.name.clone(),
                    cpu,
                    share: cpu.as_secs_f64() / took.as_secs_f64(),
                    memory_kib: highest.load(Ordering::Relaxed).max(memory_kib(process)),
                })
            })
            .collect()
    }
}

/// What a process has used since it began.
fn cpu(process: &Named) -> Result<Duration> {
    let Named { name, pid } = process;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("{name}: process {pid} cannot be measured: {error}"))?;
    // The program's name, in brackets, may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// Resident memory; 0 when the process is gone.
fn memory_kib(process: &Named) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    kib.unwrap_or(0)
}
