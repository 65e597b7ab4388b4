//! How much happened in many runs: a simulation in which nothing happens proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{History, Notice, Reply, What};

/// Counts over runs.
#[derive(Debug, Default)]
pub struct Tally {
    runs: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts a run.
    pub fn add(&mut self, history: &History) {
        self.runs += 1;
        for record in &history.records {
            let name = match &record.what {
                What::Connected { .. } => "sessions",
                What::Answered {
                    reply: Reply::Acked { repeat: false, .. },
                    ..
                } => "sends",
                What::Answered {
                    reply: Reply::Acked { repeat: true, .. },
                    ..
                } => "repeats",
                What::Answered {
                    reply:
                        Reply::Failed {
                            transient: true, ..
                        },
                    ..
                } => "calls to be retried",
                What::Answered {
                    reply: Reply::Failed { .. },
                    ..
                } => "calls refused",
                What::Answered {
                    reply: Reply::Abandoned,
                    ..
                } => "calls abandoned",
                What::Got { .. } => "entries received",
                What::Withdrawn { .. } => "withdrawals told",
                What::Told {
                    notice: Notice::Gap,
                    ..
                } => "gaps told",
                What::Told {
                    notice: Notice::Joined(_),
                    ..
                } => "joinings told",
                What::Told {
                    notice: Notice::Left(_),
                    ..
                } => "leavings told",
                What::Told {
                    notice: Notice::Draining,
                    ..
                } => "drains told",
                What::Marked { .. } => "marks told",
                What::Typing { .. } => "typing told",
                _ => continue,
            };
            *self.counts.entry(name).or_default() += 1;
        }
        let stored: usize = history
            .outcome
            .logs
            .iter()
            .map(|log| log.entries.len())
            .sum();
        *self.counts.entry("entries stored").or_default() += stored as u64;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {} runs:", self.runs)?;
        for (number, (name, count)) in self.counts.iter().enumerate() {
            write!(f, "{} {count} {name}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
