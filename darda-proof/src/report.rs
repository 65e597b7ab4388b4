//! What a scenario prints.

use std::fmt;
use std::time::Duration;

use crate::judge::{Figures, Verdict};

/// One disturbance and what became of it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) disturbed: Duration,
    /// Since the end of the disturbance: a message in every conversation acknowledged and seen.
    pub(crate) whole: Option<Duration>,
    /// And stored.
    pub(crate) stored: Option<Duration>,
    pub(crate) figures: Figures,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            sends,
            acked,
            retry,
            refused,
            abandoned,
            ..
        } = self.figures;
        let since = |time: Option<Duration>| {
            time.map_or("never".to_owned(), |time| {
                format!("{:.2} s", time.as_secs_f64())
            })
        };
        write!(
            f,
            "  {} ({:.1} s): {sends} sends, {acked} acked, {retry} refused with retry, {refused} for \
             good, {abandoned} cut off; longest without an ack {:.2} s; whole again after {}, stored \
             after {}",
            self.name,
            self.disturbed.as_secs_f64(),
            self.figures.longest_without_ack.as_secs_f64(),
            since(self.whole),
            since(self.stored),
        )
    }
}

/// What became of a scenario.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    seed: u64,
    pub(crate) stages: Vec<Stage>,
    pub(crate) whole: Figures,
    pub(crate) skipped: u64,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) broken: String,
    pub(crate) took: Duration,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            stages: Vec::new(),
            whole: Figures::default(),
            skipped: 0,
            verdict: None,
            broken: String::new(),
            took: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.failures.push(why);
    }

    /// Whether every promise held, and the scenario did what it says.
    pub(crate) fn passed(&self) -> bool {
        let held = self
            .verdict
            .as_ref()
            .is_some_and(|it| it.violations.is_empty() && it.lost == 0 && it.doubled == 0);
        held && self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            sends,
            acked,
            retry,
            refused,
            abandoned,
            connects,
            most_connects,
            withdrawn,
            ..
        } = self.whole;
        let slowest = self.stages.iter().map(|stage| stage.whole);
        let slowest = slowest.max().flatten().unwrap_or_default();
        writeln!(
            f,
            "  in all: {sends} sends, {acked} acked, {retry} refused with retry, {refused} for good, \
             {abandoned} cut off, {} not tried; longest without an ack {:.2} s; whole again after {:.2} s \
             at most; {connects} connects, {most_connects} in the busiest second; {withdrawn} withdrawals \
             told",
            self.skipped,
            self.whole.longest_without_ack.as_secs_f64(),
            slowest.as_secs_f64(),
        )?;
        if let Some(verdict) = &self.verdict {
            writeln!(
                f,
                "  {} entries acked, {} stored: lost {}, doubled {}",
                verdict.acked, verdict.stored, verdict.lost, verdict.doubled
            )?;
        }
        f.write_str(&self.broken)?;
        for failure in &self.failures {
            writeln!(f, "  FAILED {failure}")?;
        }
        let word = if self.passed() { "passed" } else { "FAILED" };
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "  {word}: {} (seed {}) in {seconds:.1} s",
            self.name, self.seed
        )
    }
}
