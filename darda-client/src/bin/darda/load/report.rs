//! What came of a load, as a table and as JSON.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Options;
use super::ledger::{Fate, count};
use super::processes::Used;
use super::session::Run;
use super::tally::Tally;
use crate::Result;

/// Which times of a row are told.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// What came of a load.
#[derive(Debug)]
pub(super) struct Report {
    about: String,
    rate: f64,
    seconds: u64,
    is_attentive: bool,
    used: Vec<Used>,
    total: Tally,
    offered: usize,
    acked: usize,
    not_sent: usize,
    /// Neither acknowledged nor refused in time.
    unanswered: usize,
    /// Acknowledged, and yet not with each of the others in time.
    missed: usize,
}

impl Report {
    pub(super) fn new(options: &Options, rate: f64, run: &Run, used: Vec<Used>) -> Result<Self> {
        let mix = run.ledger.mix();
        let mut about = format!(
            "{}, {rate} messages/s for {} s, {}, {} bytes",
            options.protocol.name(),
            options.seconds,
            mix.about(),
            options.bytes,
        );
        if let Some(members) = options.receipts_up_to {
            let _ = write!(about, ", receipts up to {members} members");
        }
        let mut report = Self {
            about,
            rate,
            seconds: options.seconds,
            is_attentive: mix.is_attentive(),
            used,
            total: run.board.total()?,
            offered: 0,
            acked: 0,
            not_sent: 0,
            unanswered: 0,
            missed: 0,
        };
        for (fate, missing) in run.ledger.outcome() {
            report.offered += 1;
            match fate {
                Fate::Open => report.unanswered += 1,
                Fate::Refused => {}
                Fate::NotSent => report.not_sent += 1,
                Fate::Acked => {
                    report.acked += 1;
                    report.missed += missing;
                }
            }
        }
        Ok(report)
    }

    pub(super) fn about(&self) -> &str {
        &self.about
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Times in microseconds, by what they are of.
    pub(super) fn times(&self) -> [(&'static str, &Histogram<u64>); 4] {
        [
            ("put on the wire", &self.total.sent),
            ("acknowledged", &self.total.acked),
            ("with each other member", &self.total.delivered),
            ("with the last member", &self.total.last),
        ]
    }

    /// In milliseconds, until the last member had a message.
    pub(super) fn last(&self, quantile: f64) -> f64 {
        milliseconds(self.total.last.value_at_quantile(quantile))
    }

    /// In milliseconds, until a message was put on the wire: how late the generator was.
    pub(super) fn sent(&self, quantile: f64) -> f64 {
        milliseconds(self.total.sent.value_at_quantile(quantile))
    }

    /// How much was lost, doubled or refused.
    pub(super) fn faults(&self) -> usize {
        let refused = self.total.refused.values().sum::<u64>();
        let closed = self.total.closed.values().sum::<u64>();
        let told = refused + closed + self.total.doubled + self.total.gaps;
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        told + self.not_sent + self.unanswered + self.missed
    }

    /// The counts, by what they are of.
    fn counts(&self) -> Vec<(String, u64)> {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let mut counts = vec![
            ("messages due".to_owned(), number(self.offered)),
            ("acknowledged".to_owned(), number(self.acked)),
            ("not put on the wire".to_owned(), number(self.not_sent)),
            ("without an answer".to_owned(), number(self.unanswered)),
            ("deliveries missed".to_owned(), number(self.missed)),
            ("deliveries doubled".to_owned(), self.total.doubled),
            ("told of a gap".to_owned(), self.total.gaps),
        ];
        for (why, times) in &self.total.refused {
            counts.push((format!("refused: {why}"), *times));
        }
        for (code, times) in &self.total.closed {
            counts.push((format!("closed with {code}"), *times));
        }
        if self.is_attentive {
            counts.push(("receipts sent".to_owned(), self.total.marked));
            counts.push(("typing sent".to_owned(), self.total.typed));
            counts.push(("told of receipts, typing".to_owned(), self.total.told));
        }
        counts
    }

    fn deliveries_a_second(&self) -> f64 {
        per(self.total.delivered.len(), self.seconds)
    }

    fn micros_a_delivery(&self, used: &Used) -> f64 {
        let deliveries = self.total.delivered.len().max(1);
        used.cpu.as_secs_f64() * 1e6 / per(deliveries, 1)
    }

    pub(super) fn table(&self) -> String {
        let mut table = String::new();
        // Writing to a text does not fail.
        self.write(&mut table).unwrap_or_default();
        table
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}\n", self.about)?;
        write!(out, "{:<26}{:>10}", "from when it was due, ms", "count")?;
        for (name, _) in QUANTILES {
            write!(out, "{name:>10}")?;
        }
        writeln!(out)?;
        for (what, times) in self.times() {
            write!(out, "{what:<26}{:>10}", times.len())?;
            for (_, quantile) in QUANTILES {
                let time = milliseconds(times.value_at_quantile(quantile));
                write!(out, "{time:>10.2}")?;
            }
            writeln!(out)?;
        }
        writeln!(out)?;
        for (what, number) in self.counts() {
            writeln!(out, "{what:<26}{number:>10}")?;
        }
        let rate = self.deliveries_a_second();
        writeln!(out, "{:<26}{rate:>10.0}", "deliveries a second")?;
        if self.used.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{:<26}{:>10}{:>10}{:>14}{:>12}",
            "part", "CPU s", "cores", "µs/delivery", "MiB at most"
        )?;
        for used in &self.used {
            writeln!(
                out,
                "{:<26}{:>10.2}{:>10.2}{:>14.1}{:>12.1}",
                used.name,
                used.cpu.as_secs_f64(),
                used.share,
                self.micros_a_delivery(used),
                per(used.memory_kib, 1_024),
            )?;
        }
        Ok(())
    }

    /// The same for programs: LOAD.md names the fields.
    pub(super) fn json(&self) -> Value {
        let times = self.times().map(|(what, times)| {
            let mut row = json!({"count": times.len()});
            for (name, quantile) in QUANTILES {
                row[name] = milliseconds(times.value_at_quantile(quantile)).into();
            }
            (what.to_owned(), row)
        });
        let parts = self.used.iter().map(|used| {
            json!({
                "name": used.name,
                "cpu_s": used.cpu.as_secs_f64(),
                "cores": used.share,
                "us_per_delivery": self.micros_a_delivery(used),
                "mib_at_most": per(used.memory_kib, 1_024),
            })
        });
        json!({
            "about": self.about,
            "rate": self.rate,
            "seconds": self.seconds,
            "ms": times.into_iter().collect::<serde_json::Map<_, _>>(),
            "counts": self.counts().into_iter().map(|(what, count)| (what, count.into()))
                .collect::<serde_json::Map<_, _>>(),
            "deliveries_per_s": self.deliveries_a_second(),
            "parts": parts.collect::<Vec<_>>(),
            "faults": self.faults(),
        })
    }
}

pub(super) fn milliseconds(micros: u64) -> f64 {
    per(micros, 1_000)
}

fn per(number: u64, of: u64) -> f64 {
    let float = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX));
    float(number) / float(of)
}
