//! What a run comes to: its figures, and whether every promise held.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use darda_core::model::EntryId;
use darda_sim::check::{Violation, check};
use darda_sim::history::{History, Notice, Record, Reply, Request, What};

/// Violations of each promise that are told.
const EACH: usize = 3;
/// Lines of the history that are told with a violation.
const LINES: usize = 24;

/// What happened between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Attempts at a send, repeats included.
    pub(crate) sends: usize,
    pub(crate) acked: usize,
    /// Refused with `retry_after_ms`.
    pub(crate) retry: usize,
    /// Refused for good.
    pub(crate) refused: usize,
    /// Without an answer when the connection went.
    pub(crate) abandoned: usize,
    pub(crate) sessions_lost: usize,
    pub(crate) longest_without_ack: Duration,
    /// Connects in the busiest second.
    pub(crate) most_connects: usize,
    pub(crate) connects: usize,
    pub(crate) drains: usize,
    pub(crate) withdrawn: usize,
}

impl Figures {
    /// Counts what lies between two times of a history, in microseconds.
    pub(crate) fn of(records: &[Record], from: u64, to: u64) -> Self {
        let mut figures = Self::default();
        let mut sends = BTreeSet::new();
        let mut last = from;
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        for record in records {
            let inside = (from..=to).contains(&record.at);
            match &record.what {
                What::Asked {
                    call,
                    request: Request::Send { .. },
                    ..
                } => {
                    sends.insert(*call);
                    figures.sends += usize::from(inside);
                }
                What::Answered { call, reply } if inside && sends.contains(call) => match reply {
                    Reply::Acked { .. } => {
                        figures.acked += 1;
                        figures.longest_without_ack = figures
                            .longest_without_ack
                            .max(Duration::from_micros(record.at - last));
                        last = record.at;
                    }
                    Reply::Failed { transient, .. } if *transient => figures.retry += 1,
                    Reply::Failed { .. } => figures.refused += 1,
                    Reply::Abandoned => figures.abandoned += 1,
                    Reply::Done | Reply::Hung => {}
                },
                What::Closed { .. } if inside => figures.sessions_lost += 1,
                What::Connected { .. } if inside => {
                    figures.connects += 1;
                    *seconds.entry(record.at / 1_000_000).or_default() += 1;
                }
                What::Told {
                    notice: Notice::Draining,
                    ..
                } if inside => figures.drains += 1,
                What::Withdrawn { .. } if inside => figures.withdrawn += 1,
                _ => {}
            }
        }
        let end = Duration::from_micros(to.saturating_sub(last));
        figures.longest_without_ack = figures.longest_without_ack.max(end);
        figures.most_connects = seconds.values().copied().max().unwrap_or(0);
        figures
    }
}

/// What became of the whole run.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) acked: usize,
    pub(crate) stored: usize,
    pub(crate) violations: Vec<Violation>,
}

/// Judges a whole run.
pub(crate) fn judge(history: &History) -> Verdict {
    let acked = acked(&history.records);
    let (mut stored, mut doubled) = (BTreeSet::new(), 0);
    for log in &history.outcome.logs {
        for entry in &log.entries {
            doubled += usize::from(!stored.insert(entry.id));
        }
    }
    let shown = history.outcome.views.iter().chain(&history.outcome.reads);
    for shown in shown {
        let ids: BTreeSet<_> = shown.entries.iter().map(|(_, id)| id).collect();
        doubled += shown.entries.len() - ids.len();
    }
    Verdict {
        lost: acked.difference(&stored).count(),
        doubled,
        acked: acked.len(),
        stored: stored.len(),
        violations: check(history),
    }
}

/// The entries that were acknowledged.
pub(crate) fn acked(records: &[Record]) -> BTreeSet<EntryId> {
    let mut sends = BTreeMap::new();
    let mut acked = BTreeSet::new();
    for record in records {
        match &record.what {
            What::Asked {
                call,
                request: Request::Send { id, .. },
                ..
            } => {
                sends.insert(*call, *id);
            }
            What::Answered {
                call,
                reply: Reply::Acked { .. },
            } => {
                acked.extend(sends.get(call));
            }
            _ => {}
        }
    }
    acked
}

/// The broken promises in words, with the lines of the history that show them.
pub(crate) fn tell(history: &History, violations: &[Violation]) -> String {
    let mut text = String::new();
    let mut told: BTreeMap<_, usize> = BTreeMap::new();
    for violation in violations {
        let count = told.entry(violation.promise).or_default();
        *count += 1;
        if *count > EACH {
            continue;
        }
        let _ = writeln!(text, "  BROKEN {violation}");
        for line in about(history, &violation.how) {
            let _ = writeln!(text, "    {line}");
        }
    }
    for (promise, count) in told.iter().filter(|(_, count)| **count > EACH) {
        let _ = writeln!(text, "  BROKEN {promise:?}: {count} times in all");
    }
    text
}

/// The records that name an id that a violation names: an entry before a conversation.
fn about(history: &History, how: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        word.len() == 22
            && word
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    let words = how.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let ids: Vec<_> = words.filter(is_id).collect();
    let Some(id) = ids.last() else {
        return Vec::new();
    };
    // An answer names its call alone.
    let mut calls = BTreeSet::new();
    let mut lines = Vec::new();
    for record in &history.records {
        let line = format!("{:?}", record.what);
        let named = match &record.what {
            What::Answered { call, .. } => calls.contains(call),
            What::Asked { call, .. } if line.contains(id) => calls.insert(*call),
            What::Rested { .. } => false,
            _ => line.contains(id),
        };
        if named {
            lines.push(format!("{:>9.3} s {line}", record.at as f64 / 1e6));
        }
    }
    if lines.len() > LINES {
        let skipped = lines.len() - LINES;
        lines.splice(
            LINES / 2..LINES / 2 + skipped,
            [format!("… {skipped} more …")],
        );
    }
    lines
}

#[cfg(test)]
#[path = "doctored.rs"]
mod tests;
