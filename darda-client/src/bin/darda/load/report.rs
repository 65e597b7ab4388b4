//! What came of a load, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use hdrhistogram::Histogram;

use super::Options;
use super::ledger::{Fate, Ledger, count};
use super::processes::Used;
use super::session::Tally;

/// What came of a load.
#[derive(Debug)]
pub(super) struct Report {
    about: String,
    seconds: u64,
    members: usize,
    used: Vec<Used>,
    total: Option<Tally>,
    offered: usize,
    acked: usize,
    not_sent: usize,
    /// Neither acknowledged nor refused in time.
    unanswered: usize,
    /// Acknowledged, and yet not with each of the others in time.
    missed: usize,
    /// Connections that ended, by close code.
    closed: BTreeMap<u16, usize>,
}

impl Report {
    pub(super) fn new(options: &Options, used: Vec<Used>) -> Self {
        let conversations = options.sessions / options.members;
        let about = format!(
            "{} messages/s for {} s, {} sessions in {conversations} conversations of {}, {} bytes",
            options.rate,
            options.seconds,
            conversations * options.members,
            options.members,
            options.bytes,
        );
        Self {
            about,
            seconds: options.seconds,
            members: options.members,
            used,
            total: None,
            offered: 0,
            acked: 0,
            not_sent: 0,
            unanswered: 0,
            missed: 0,
            closed: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, tally: Tally) {
        if let Some(code) = tally.closed {
            *self.closed.entry(code).or_default() += 1;
        }
        let Some(total) = &mut self.total else {
            self.total = Some(tally);
            return;
        };
        // All have the same bounds, so that nothing is left out.
        total.sent += tally.sent;
        total.acked += tally.acked;
        total.delivered += tally.delivered;
        total.last += tally.last;
        total.doubled += tally.doubled;
        total.gaps += tally.gaps;
        for (code, times) in tally.refused {
            *total.refused.entry(code).or_default() += times;
        }
    }

    pub(super) fn settle(&mut self, ledger: &Ledger, measured: Range<usize>) {
        self.offered = measured.len();
        for (fate, seen) in ledger.of(measured) {
            match fate {
                Fate::Open => self.unanswered += 1,
                Fate::Refused => {}
                Fate::NotSent => self.not_sent += 1,
                Fate::Acked => {
                    self.acked += 1;
                    let seen = usize::try_from(seen).unwrap_or(usize::MAX);
                    self.missed += (self.members - 1).saturating_sub(seen);
                }
            }
        }
    }

    pub(super) fn about(&self) -> &str {
        &self.about
    }

    /// Times in microseconds, by what they are of.
    pub(super) fn times(&self) -> Vec<(&'static str, &Histogram<u64>)> {
        let Some(total) = &self.total else {
            return Vec::new();
        };
        vec![
            ("put on the wire", &total.sent),
            ("acknowledged", &total.acked),
            ("with each other member", &total.delivered),
            ("with the last member", &total.last),
        ]
    }

    pub(super) fn is_clean(&self) -> bool {
        let total = self.total.as_ref();
        self.not_sent + self.unanswered + self.missed == 0
            && self.closed.is_empty()
            && total.is_some_and(|it| it.doubled + it.gaps == 0 && it.refused.is_empty())
    }

    pub(super) fn table(&self) -> String {
        let mut table = String::new();
        self.write(&mut table).unwrap_or_default();
        table
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}\n", self.about)?;
        writeln!(
            out,
            "{:<26}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "from when it was due, ms", "count", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (what, times) in self.times() {
            write!(out, "{what:<26}{:>10}", times.len())?;
            for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
                write!(
                    out,
                    "{:>10.2}",
                    milliseconds(times.value_at_quantile(quantile))
                )?;
            }
            writeln!(out)?;
        }
        let deliveries = self.total.as_ref().map_or(0, |total| total.delivered.len());
        let doubled = self.total.as_ref().map_or(0, |total| total.doubled);
        let gaps = self.total.as_ref().map_or(0, |total| total.gaps);
        let rows = [
            ("messages due", self.offered),
            ("acknowledged", self.acked),
            ("not put on the wire", self.not_sent),
            ("without an answer", self.unanswered),
            ("deliveries missed", self.missed),
        ];
        writeln!(out)?;
        for (what, number) in rows {
            writeln!(out, "{what:<26}{number:>10}")?;
        }
        writeln!(out, "{:<26}{doubled:>10}", "deliveries doubled")?;
        writeln!(out, "{:<26}{gaps:>10}", "told of a gap")?;
        for (code, times) in self.total.iter().flat_map(|total| &total.refused) {
            writeln!(out, "{:<26}{times:>10}", format!("refused: {code}"))?;
        }
        for (code, times) in &self.closed {
            writeln!(out, "{:<26}{times:>10}", format!("closed with {code}"))?;
        }
        let rate = per(deliveries, self.seconds);
        writeln!(out, "{:<26}{rate:>10.0}", "deliveries a second")?;
        if self.used.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{:<26}{:>10}{:>10}{:>14}{:>12}",
            "process", "CPU s", "cores", "µs/delivery", "MiB at most"
        )?;
        for used in &self.used {
            let each = used.cpu.as_secs_f64() * 1e6 / per(deliveries.max(1), 1);
            writeln!(
                out,
                "{:<26}{:>10.2}{:>10.2}{each:>14.1}{:>12.1}",
                used.name,
                used.cpu.as_secs_f64(),
                used.share,
                per(used.memory_kib, 1_024),
            )?;
        }
        Ok(())
    }
}

pub(super) fn milliseconds(micros: u64) -> f64 {
    per(micros, 1_000)
}

fn per(number: u64, of: u64) -> f64 {
    let float = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX));
    float(number) / float(of)
}
