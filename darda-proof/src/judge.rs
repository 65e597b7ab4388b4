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
    /// Longest time in which nothing was acknowledged that had not been before.
    pub(crate) longest_without_ack: Duration,
    /// Refused with `retry_after_ms`.
    pub(crate) retry: usize,
    /// Refused for good.
    pub(crate) refused: usize,
    /// Without an answer when the connection went.
    pub(crate) abandoned: usize,
    pub(crate) sessions_lost: usize,
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
        let (mut sends, mut known) = (BTreeMap::new(), BTreeSet::new());
        let mut last = from;
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        for record in records {
            let inside = (from..=to).contains(&record.at);
            match &record.what {
                What::Asked {
                    call,
                    request: Request::Send { id, .. },
                    ..
                } => {
                    sends.insert(*call, *id);
                    figures.sends += usize::from(inside);
                }
                What::Answered { call, reply } => {
                    let Some(id) = sends.get(call) else {
                        continue;
                    };
                    let acked = matches!(reply, Reply::Acked { .. });
                    // A repeat of what is kept is answered while nothing new can be.
                    let first = acked && known.insert(*id);
                    if !inside {
                        continue;
                    }
                    if first {
                        let pause = Duration::from_micros(record.at - last);
                        figures.longest_without_ack = figures.longest_without_ack.max(pause);
                        last = record.at;
                    }
                    match reply {
                        Reply::Acked { .. } => figures.acked += 1,
                        Reply::Failed { transient, .. } if *transient => figures.retry += 1,
                        Reply::Failed { .. } => figures.refused += 1,
                        Reply::Abandoned => figures.abandoned += 1,
                        Reply::Done | Reply::Hung => {}
                    }
                }
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
mod tests {
    use darda_core::model::{Body, Epoch, Message};
    use darda_core::model::{ClientId, ConversationId, Entry, Members, Position, UserId};
    use darda_sim::history::{Log, Shown};

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn conversation() -> ConversationId {
        ConversationId::direct(&user("alice"), &user("bob"))
    }

    fn id(name: &str) -> EntryId {
        EntryId::derive(
            conversation(),
            &user("alice"),
            &ClientId::new(name).unwrap(),
        )
    }

    fn entry(name: &str, at: u64) -> Entry {
        Entry {
            conversation: conversation(),
            position: Position(at),
            prev: None,
            epoch: Epoch::default(),
            id: id(name),
            sender: user("alice"),
            client_id: ClientId::new(name).unwrap(),
            body: Body::Message(Message::text(name)),
            incarnation: 0,
            relocated: false,
        }
    }

    /// Alice sends "1" at one second and "2" at four, and is acknowledged half a second later; bob is
    /// shown both.
    fn history() -> History {
        let mut history = History::default();
        for (call, name, at) in [(1, "1", 1_000_000), (2, "2", 4_000_000)] {
            let request = Request::Send {
                conversation: conversation(),
                client_id: ClientId::new(name).unwrap(),
                id: id(name),
                resend: false,
                change: None,
            };
            let what = What::Asked {
                call,
                session: 1,
                request,
            };
            history.records.push(Record { at, what });
            let reply = Reply::Acked {
                position: Position(at),
                prev: None,
                repeat: false,
            };
            let what = What::Answered { call, reply };
            let at = at + 500_000;
            history.records.push(Record { at, what });
        }
        history.outcome.logs.push(Log {
            conversation: conversation(),
            entries: vec![entry("1", 1_000_000), entry("2", 4_000_000)],
            members: Some(Members::direct(&user("alice"), &user("bob"))),
            marks: Vec::new(),
        });
        history.outcome.reads.push(Shown {
            user: user("bob"),
            device: 2,
            conversation: conversation(),
            entries: vec![
                (Position(1_000_000), id("1")),
                (Position(4_000_000), id("2")),
            ],
        });
        history
    }

    #[test]
    fn a_history_as_it_should_be_breaks_nothing() {
        let verdict = judge(&history());
        assert_eq!((verdict.acked, verdict.stored), (2, 2));
        assert_eq!((verdict.lost, verdict.doubled), (0, 0));
        assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    }

    #[test]
    fn an_acknowledged_entry_that_is_not_stored_is_lost_and_told_with_its_history() {
        let mut history = history();
        history.outcome.logs[0].entries.remove(0);
        let verdict = judge(&history);
        assert_eq!(verdict.lost, 1);
        let told = tell(&history, &verdict.violations);
        assert!(told.contains("BROKEN"), "{told}");
        assert!(told.contains("1.000 s Asked"), "{told}");
        assert!(told.contains("1.500 s Answered"), "{told}");
    }

    #[test]
    fn an_entry_stored_twice_is_doubled() {
        let mut history = history();
        history.outcome.logs[0].entries.push(entry("1", 5_000_000));
        let verdict = judge(&history);
        assert_eq!(verdict.doubled, 1);
        assert!(!verdict.violations.is_empty());
    }

    #[test]
    fn an_entry_shown_twice_is_doubled() {
        let mut history = history();
        let again = (Position(5_000_000), id("1"));
        history.outcome.reads[0].entries.push(again);
        assert_eq!(judge(&history).doubled, 1);
    }

    #[test]
    fn the_longest_time_without_an_acknowledgement_reaches_to_the_end() {
        let records = history().records;
        let all = Figures::of(&records, 0, 20_000_000);
        assert_eq!((all.sends, all.acked), (2, 2));
        assert_eq!(all.longest_without_ack, Duration::from_micros(15_500_000));
        let early = Figures::of(&records, 0, 4_600_000);
        assert_eq!(early.longest_without_ack, Duration::from_secs(3));
    }

    #[test]
    fn a_repeat_that_is_acknowledged_again_ends_no_time_without_acknowledgements() {
        let mut records = history().records;
        let again = Record {
            at: 10_000_000,
            ..records[1].clone()
        };
        records.push(again);
        let figures = Figures::of(&records, 0, 20_000_000);
        assert_eq!(figures.acked, 3);
        let pause = Duration::from_micros(15_500_000);
        assert_eq!(figures.longest_without_ack, pause);
    }

    #[test]
    fn what_lies_outside_of_a_stage_is_not_counted() {
        let figures = Figures::of(&history().records, 0, 3_000_000);
        assert_eq!((figures.sends, figures.acked), (1, 1));
    }
}
