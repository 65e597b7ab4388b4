//! The gateways at their top rate: first with a writer that works, then with one that stands still,
//! until sends are refused as `busy`, then with one that works again.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::flood::{Flood, Tally};
use crate::Result;
use crate::bench::Size;
use crate::process::Kind;
use crate::real::{BackEnds, Probe, System};
use crate::report::{Goal, Rounds, Table};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn run(size: &Size) -> Result<()> {
    if !size.kinds.contains(&Kind::Darda) {
        return Ok(());
    }
    let Some(back_ends) = BackEnds::find("real-pressure")? else {
        return Ok(());
    };
    let system = System::start(&back_ends, 2)?;
    let at = [system.gateways[0].address, system.gateways[1].address];
    let size = &Size {
        pairs: size.pressure.pairs,
        in_flight: size.pressure.in_flight,
        ..size.clone()
    };
    let mut curve = Curve {
        flood: Flood::open(at, size)?,
        probe: Probe::of(&system, &back_ends)?,
        system,
        start: Instant::now(),
        written: 0.0,
        seconds: Vec::new(),
    };
    let Pressure {
        working,
        stopped,
        busy,
        again,
        ..
    } = size.pressure;
    curve.watch(Phase::Working, working, |_| false)?;
    curve.system.writer.signal(Signal::STOP)?;
    let stopped = curve.watch(Phase::Stopped, stopped, |seconds| {
        let refused = seconds
            .iter()
            .filter(|second| second.phase == Phase::Stopped);
        refused.filter(|second| second.tally.busy > 0).count() >= busy
    });
    // Also after an error: who stands still cannot end.
    curve.system.writer.signal(Signal::CONT)?;
    stopped?;
    curve.watch(Phase::Again, again, |_| false)?;
    curve.flood.come_to_rest()?;
    let rest = curve.system.await_written()?;
    curve.flood.judge()?;
    curve.print(rest);
    Ok(())
}

/// Who sends, and seconds of each phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pressure {
    /// Few conversations: what may wait is bounded for each shard of conversations.
    pub(crate) pairs: usize,
    /// Sends under way of each.
    pub(crate) in_flight: usize,
    /// With a writer that works.
    pub(crate) working: usize,
    /// At most, with one that stands still.
    pub(crate) stopped: usize,
    /// Of them with sends refused as busy, after which it is enough.
    pub(crate) busy: usize,
    /// With one that works again.
    pub(crate) again: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    Stopped,
    Again,
}

/// What one second brought, and what was held at its end.
#[derive(Debug)]
struct Second {
    phase: Phase,
    at: f64,
    length: f64,
    tally: Tally,
    written: f64,
    queued: u64,
    unwritten: u64,
    gateways: u64,
    writer: u64,
    redis: u64,
}

struct Curve {
    // Its sockets are closed before the system ends.
    flood: Flood,
    probe: Probe,
    system: System,
    start: Instant,
    /// As the writer last said.
    written: f64,
    seconds: Vec<Second>,
}

impl Curve {
    /// Second by second, until it was so many or `enough` says so.
    fn watch(
        &mut self,
        phase: Phase,
        seconds: usize,
        enough: impl Fn(&[Second]) -> bool,
    ) -> Result<()> {
        for _ in 0..seconds {
            let (start, before, written) = (Instant::now(), self.flood.tally(), self.written);
            self.flood.run_until(start + SECOND)?;
            let now = self.flood.tally();
            let length = start.elapsed().as_secs_f64();
            if phase != Phase::Stopped {
                self.written = self.system.writer.metric("darda_written_total")?;
            }
            let gateways = self.system.gateways.iter().map(|gateway| gateway.memory());
            self.seconds.push(Second {
                phase,
                at: self.start.elapsed().as_secs_f64(),
                length,
                tally: Tally {
                    acked: now.acked - before.acked,
                    busy: now.busy - before.busy,
                    otherwise: now.otherwise - before.otherwise,
                },
                written: self.written - written,
                queued: self.probe.queued()?,
                unwritten: self.system.unwritten()?,
                gateways: gateways.sum::<Result<u64>>()?,
                writer: self.system.writer.memory()?,
                redis: self.probe.redis_memory()?,
            });
            if enough(&self.seconds) {
                break;
            }
        }
        Ok(())
    }

    fn print(&self, rest: Duration) {
        let columns = [
            "s",
            "writer",
            "acked/s",
            "busy/s",
            "other refusals/s",
            "stored/s",
            "not known to be stored",
            "in RabbitMQ",
            "gateways MiB",
            "writer MiB",
            "Redis MiB",
        ];
        let mut table = Table::new(
            "real servers: the gateways' top rate, second by second",
            &columns,
        );
        for second in &self.seconds {
            let rate = |count: u64| format!("{:.0}", count as f64 / second.length);
            let mebibytes = |kibibytes: u64| (kibibytes / 1024).to_string();
            table.row([
                format!("{:.0}", second.at),
                match second.phase {
                    Phase::Working => "works".into(),
                    Phase::Stopped => "stands still".into(),
                    Phase::Again => "works again".into(),
                },
                rate(second.tally.acked),
                rate(second.tally.busy),
                rate(second.tally.otherwise),
                format!("{:.0}", second.written / second.length),
                second.unwritten.to_string(),
                second.queued.to_string(),
                mebibytes(second.gateways),
                mebibytes(second.writer),
                mebibytes(second.redis),
            ]);
        }
        table.print();
        self.judge(rest);
    }

    fn judge(&self, rest: Duration) {
        let mut table = Table::new("real servers: back-pressure", &["", "", "goal"]);
        let working = |second: &&Second| second.phase == Phase::Working;
        let acked: u64 = self
            .seconds
            .iter()
            .filter(working)
            .map(|second| second.tally.acked)
            .sum();
        let written: f64 = self
            .seconds
            .iter()
            .filter(working)
            .map(|second| second.written)
            .sum();
        let share = written / acked as f64;
        table.row([
            "stored of what was acked, writer working".into(),
            format!("{share:.2}"),
            Goal::AtLeast(0.95).judge(share, 2),
        ]);
        let busy: Rounds = self
            .seconds
            .iter()
            .filter(|second| second.phase == Phase::Stopped && second.tally.busy > 0)
            .map(|second| second.gateways as f64)
            .collect();
        let growth = busy.last() / busy.first();
        table.row([
            "gateways' memory, last second of busy / first".into(),
            format!("{growth:.2}"),
            Goal::AtMost(1.1).judge(growth, 1),
        ]);
        let rest = rest.as_secs_f64();
        table.row([
            "s from the last ack until all is stored".into(),
            format!("{rest:.1}"),
        ]);
        table.print();
    }
}
