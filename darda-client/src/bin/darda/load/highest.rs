//! The highest rate at which messages are still with their last member in time, and nothing is lost.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cast::Cast;
use super::report::Report;
use super::step::measure;
use super::{Options, complain};
use crate::{Result, say};

/// Rates that are tried, repeats included.
const STEPS: usize = 24;
/// The answer is found when the lowest rate that failed is not further than this above the highest that held.
const CLOSE: f64 = 1.05;
/// What is slower does not count as a server.
const LEAST: f64 = 1.0;
/// A generator whose own p99 is above this share of the limit measures itself.
const OWN_SHARE: f64 = 0.25;

/// What came of one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Held,
    /// The p99 was over the limit.
    Slow,
    /// Something was lost, doubled or refused.
    Lossy,
    /// It did not hold, and the generator itself was late: it says nothing of the server.
    Generator,
}

impl Verdict {
    fn of(report: &Report, within: f64) -> Self {
        Self::judge(
            report.last(0.99),
            report.sent(0.99),
            report.faults(),
            within,
        )
    }

    fn judge(last: f64, sent: f64, faults: usize, within: f64) -> Self {
        let held = faults == 0 && last <= within;
        if held {
            Self::Held
        } else if sent > within * OWN_SHARE {
            Self::Generator
        } else if faults > 0 {
            Self::Lossy
        } else {
            Self::Slow
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Slow => "too slow",
            Self::Lossy => "lost something",
            Self::Generator => "the generator was late",
        }
    }
}

/// Which rate to try next: doubled or halved until one held and one failed, then between the two.
#[derive(Debug)]
struct Search {
    next: f64,
    held: Option<f64>,
    failed: Option<f64>,
    /// The rate failed once. A hiccup is not a limit, so that it is tried again.
    again: bool,
}

impl Search {
    fn new(first: f64) -> Self {
        Self {
            next: first,
            held: None,
            failed: None,
            again: false,
        }
    }

    /// Whether there is a rate to try still.
    fn goes_on(&self) -> bool {
        match (self.held, self.failed) {
            (Some(held), Some(failed)) => self.again || failed > held * CLOSE,
            _ => self.next >= LEAST,
        }
    }

    fn note(&mut self, held: bool) {
        if !held && !self.again {
            self.again = true;
            return;
        }
        self.again = false;
        let rate = self.next;
        if held {
            self.held = Some(rate);
        } else {
            self.failed = Some(rate);
        }
        // Whole rates can be asked for again.
        self.next = match (self.held, self.failed) {
            (Some(held), Some(failed)) => f64::midpoint(held, failed).round(),
            (Some(held), None) => held * 2.0,
            (None, Some(failed)) => (failed / 2.0).floor(),
            (None, None) => rate,
        };
        // Two neighbours have no rate between them.
        if self.held == Some(self.next) {
            self.failed = self.held;
        }
    }
}

/// What came of all rates.
#[derive(Debug)]
pub(super) struct Highest {
    within: f64,
    steps: Vec<(Report, Verdict)>,
}

/// Tries rates, beginning with `--rate`, and prints a row for each.
pub(super) async fn find(cast: &mut Cast, options: &Options) -> Result<Highest> {
    let limit = Duration::from_secs(options.find_minutes * 60);
    let step = Duration::from_secs(options.warm_up + options.seconds + options.patience);
    let within = options.within;
    let began = Instant::now();
    let mut search = Search::new(options.rate);
    let mut highest = Highest {
        within,
        steps: Vec::new(),
    };
    say(&heading(within));
    while search.goes_on() {
        if highest.steps.len() >= STEPS || began.elapsed() + step > limit {
            complain("the search ends before it has found the limit: see --find-minutes");
            break;
        }
        let report = measure(cast, options, search.next).await?;
        let verdict = Verdict::of(&report, within);
        say(&row(&report, verdict));
        search.note(verdict == Verdict::Held);
        highest.steps.push((report, verdict));
        if verdict != Verdict::Held {
            // What it left behind is not the next one's fault.
            sleep(Duration::from_secs(options.patience)).await;
        }
    }
    Ok(highest)
}

fn heading(within: f64) -> String {
    format!(
        "the highest rate with p99 until the last member within {within} ms, and nothing lost\n\n\
        {:>10}{:>10}{:>10}{:>10}{:>12}{:>10}  ms until the last member had it",
        "messages/s", "p50", "p99", "p99.9", "wire p99", "faults"
    )
}

fn row(report: &Report, verdict: Verdict) -> String {
    format!(
        "{:>10}{:>10.2}{:>10.2}{:>10.2}{:>12.2}{:>10}  {}",
        report.rate(),
        report.last(0.5),
        report.last(0.99),
        report.last(0.999),
        report.sent(0.99),
        report.faults(),
        verdict.text()
    )
}

impl Highest {
    /// The best that held.
    pub(super) fn best(&self) -> Option<&Report> {
        let held = self.steps.iter().filter(|it| it.1 == Verdict::Held);
        let best = held.max_by(|one, other| one.0.rate().total_cmp(&other.0.rate()));
        best.map(|(report, _)| report)
    }

    /// What failed right above it: what the limit is a limit of.
    fn bound(&self) -> Option<Verdict> {
        let best = self.best().map_or(0.0, Report::rate);
        let above = || self.steps.iter().filter(|it| it.0.rate() > best);
        let lowest = above().map(|it| it.0.rate()).min_by(f64::total_cmp)?;
        let tries = above().filter(|it| it.0.rate() <= lowest).map(|it| it.1);
        let tries: Vec<_> = tries.collect();
        // A generator that was late in one of two tries leaves it open.
        let late = tries.iter().find(|it| **it == Verdict::Generator);
        late.or(tries.last()).copied()
    }

    pub(super) fn conclusion(&self) -> String {
        let mut text = match self.best() {
            Some(best) => format!("\nhighest rate: {} messages/s", best.rate()),
            None => "\nno rate held".to_owned(),
        };
        let more = match self.bound() {
            None => ", and nothing above it was tried: it is at least this",
            Some(Verdict::Generator) => {
                ", and above it the generator was late: the server's limit is at least this"
            }
            Some(_) => "",
        };
        // Writing to a text does not fail.
        write!(text, "{more}").unwrap_or_default();
        text
    }

    pub(super) fn json(&self) -> Value {
        let steps = self.steps.iter().map(|(report, verdict)| {
            json!({
                "rate": report.rate(),
                "last_p99_ms": report.last(0.99),
                "sent_p99_ms": report.sent(0.99),
                "faults": report.faults(),
                "verdict": verdict.text(),
            })
        });
        json!({
            "within_ms": self.within,
            "highest_rate": self.best().map(Report::rate),
            "above": self.bound().map(Verdict::text),
            "steps": steps.collect::<Vec<_>>(),
            "best": self.best().map(Report::json),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server that holds up to a rate; the rates that were tried, and the answer.
    fn search(first: f64, limit: f64) -> (Vec<f64>, Option<f64>) {
        let mut search = Search::new(first);
        let mut tried = Vec::new();
        while search.goes_on() && tried.len() < STEPS {
            tried.push(search.next);
            search.note(search.next <= limit);
        }
        (tried, search.held)
    }

    #[test]
    fn the_search_doubles_and_then_halves_the_distance() {
        let (tried, held) = search(100.0, 1_000.0);
        assert_eq!(tried[..6], [100.0, 200.0, 400.0, 800.0, 1600.0, 1600.0]);
        let held = held.unwrap();
        assert!((1_000.0 / CLOSE..=1_000.0).contains(&held), "{held}");
        assert!(tried.len() < 16);
    }

    #[test]
    fn the_search_goes_down_when_the_first_rate_is_too_high() {
        let (_, held) = search(10_000.0, 37.0);
        assert!((37.0 / CLOSE - 1.0..=37.0).contains(&held.unwrap()));
        assert_eq!(search(64.0, 0.1).1, None);
        assert_eq!(search(1.0, 1.0).1, Some(1.0));
        assert_eq!(search(7.0, 2.0).1, Some(2.0));
    }

    #[test]
    fn one_hiccup_is_not_a_limit() {
        let mut search = Search::new(100.0);
        search.note(false);
        assert!(search.goes_on());
        search.note(true);
        assert_eq!(search.next, 200.0);
        search.note(false);
        search.note(false);
        assert_eq!(search.next, 150.0);
    }

    #[test]
    fn a_late_generator_is_not_the_servers_limit() {
        assert_eq!(Verdict::judge(150.0, 1.0, 0, 200.0), Verdict::Held);
        assert_eq!(Verdict::judge(250.0, 1.0, 0, 200.0), Verdict::Slow);
        assert_eq!(Verdict::judge(150.0, 1.0, 3, 200.0), Verdict::Lossy);
        assert_eq!(Verdict::judge(250.0, 60.0, 0, 200.0), Verdict::Generator);
        assert_eq!(Verdict::judge(150.0, 60.0, 3, 200.0), Verdict::Generator);
    }
}
