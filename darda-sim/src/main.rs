//! Runs seeds on all cores and prints, for each that fails, the shortest history that it finds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use darda_sim::history::{Notice, Record, Reply, Request, What};
use darda_sim::plan::Plan;
use darda_sim::shrink::{Failure, Outcome, attempt, shrink};
use darda_sim::tally::Tally;
use parking_lot::Mutex;

const USAGE: &str =
    "darda-sim [--seeds N] [--from N] [--seed N] [--trace] [--calm] [--shrink-seconds N]
          [--json FILE]

  --seeds N           so many seeds (1000)
  --from N            beginning with this one (0)
  --seed N            this seed alone
  --trace             print the whole history of each failing seed; with --seed, in any case
  --calm              break nothing: what fails now needs no fault
  --shrink-seconds N  look so long for a shorter history of a failing seed (20); 0: not at all
  --json FILE         with --seed, write the history there
";
/// Failing seeds that are told about in full.
const TOLD: u64 = 3;
/// Violations of each promise that are told.
const EACH: usize = 2;
/// Lines of a history that are printed without `--trace`.
const LINES: usize = 80;

struct Wishes {
    from: u64,
    seeds: u64,
    trace: bool,
    one: bool,
    calm: bool,
    shrink: Duration,
    json: Option<String>,
}

impl Wishes {
    fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::draw(seed);
        if self.calm {
            plan.faults.clear();
        }
        plan
    }
}

fn main() -> ExitCode {
    let Some(wishes) = wishes() else {
        say(USAGE);
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(wishes.from), AtomicU64::new(0));
    let (talk, tally) = (Mutex::new(()), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= wishes.from.saturating_add(wishes.seeds) {
                        return;
                    }
                    let result = std::panic::catch_unwind(|| attempt(&wishes.plan(seed)));
                    let failure = match result {
                        Ok(Ok(Outcome::Kept(history))) => {
                            tally.lock().add(&history);
                            None
                        }
                        Ok(Ok(Outcome::Broken(failure))) => Some(Ok(failure)),
                        Ok(Err(error)) => Some(Err(error.to_string())),
                        Err(_) => Some(Err("a panic".to_owned())),
                    };
                    let Some(failure) = failure else { continue };
                    let number = failed.fetch_add(1, Ordering::Relaxed);
                    let text = match failure {
                        Ok(failure) => tell(seed, failure, number, &wishes),
                        Err(error) => format!("seed {seed}: {error}\n"),
                    };
                    let _one_at_a_time = talk.lock();
                    say(&text);
                }
            });
        }
    });
    if wishes.one {
        show(&wishes);
    }
    let failed = failed.load(Ordering::Relaxed);
    say(&format!("{}\n", tally.lock()));
    say(&format!("{:.1} s\n", began.elapsed().as_secs_f64()));
    say(&format!(
        "{} passed, {failed} failed\n",
        wishes.seeds - failed
    ));
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn wishes() -> Option<Wishes> {
    let mut wishes = Wishes {
        from: 0,
        seeds: 1000,
        trace: false,
        one: false,
        calm: false,
        shrink: Duration::from_secs(20),
        json: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--seeds" => wishes.seeds = number()?,
            "--from" => wishes.from = number()?,
            "--seed" => {
                wishes.from = number()?;
                wishes.seeds = 1;
                wishes.one = true;
            }
            "--shrink-seconds" => wishes.shrink = Duration::from_secs(number()?),
            "--calm" => wishes.calm = true,
            "--trace" => wishes.trace = true,
            "--json" => wishes.json = Some(words.next()?),
            _ => return None,
        }
    }
    Some(wishes)
}

fn tell(seed: u64, failure: Failure, number: u64, wishes: &Wishes) -> String {
    let mut text = format!("seed {seed} broke:\n");
    tell_broken(&mut text, &failure);
    if number >= TOLD || wishes.shrink.is_zero() {
        return text;
    }
    let (steps, faults) = (failure.plan.steps.len(), failure.plan.faults.len());
    let short = shrink(failure, wishes.shrink);
    let plan = &short.plan;
    let _ = writeln!(
        text,
        " the shortest found: {} of {steps} steps, {} of {faults} faults, {} nodes, session queue {}",
        plan.steps.len(),
        plan.faults.len(),
        plan.nodes,
        plan.session_queue
    );
    for (number, talk) in plan.talks.iter().enumerate() {
        let _ = writeln!(text, "  talk {number}: {talk:?}");
    }
    for step in &plan.steps {
        let _ = writeln!(
            text,
            "  {:>6} ms  device {}: {:?}",
            step.at_ms, step.device, step.act
        );
    }
    for fault in &plan.faults {
        let _ = writeln!(
            text,
            "  {:>6} ms  for {} ms: {:?}",
            fault.at_ms, fault.for_ms, fault.breakage
        );
    }
    tell_broken(&mut text, &short);
    tell_history(&mut text, &short, wishes.trace);
    for log in &short.history.outcome.logs {
        let _ = writeln!(text, "  log {}", log.conversation);
        for entry in log.entries.iter().rev().take(LINES).rev() {
            let _ = writeln!(
                text,
                "    {} {} by {} {} epoch {}",
                entry.position, entry.id, entry.sender, entry.client_id, entry.epoch.0
            );
        }
    }
    text
}

/// The first violations of each promise.
fn tell_broken(text: &mut String, failure: &Failure) {
    let mut told = BTreeMap::new();
    for broken in &failure.violations {
        let count: &mut usize = told.entry(broken.promise).or_default();
        *count += 1;
        if *count <= EACH {
            let _ = writeln!(text, "  {broken}");
        }
    }
}

/// What happened: all of it, or what is worth knowing.
fn tell_history(text: &mut String, failure: &Failure, all: bool) {
    let records = &failure.history.records;
    let worth = |record: &&Record| {
        all || match &record.what {
            What::Sample { .. }
            | What::Told {
                notice: Notice::Heads,
                ..
            } => false,
            What::Asked { request, .. } => {
                !matches!(request, Request::Read { .. } | Request::Other { .. })
            }
            What::Answered { reply, .. } => *reply != Reply::Done,
            _ => true,
        }
    };
    let worth: Vec<_> = records.iter().filter(worth).collect();
    let skipped = if all {
        0
    } else {
        worth.len().saturating_sub(2 * LINES)
    };
    let _ = writeln!(
        text,
        " its history ({} of {} records):",
        worth.len() - skipped,
        records.len()
    );
    for (number, record) in worth.iter().enumerate() {
        if number < LINES || number >= LINES + skipped {
            let _ = writeln!(text, "  {:>10} {:?}", record.at, record.what);
        } else if number == LINES {
            let _ = writeln!(text, "  …");
        }
    }
}

/// The history of the one seed that was asked for, as it is.
fn show(wishes: &Wishes) {
    let Ok(history) = darda_sim::run::run(&wishes.plan(wishes.from)) else {
        return;
    };
    if wishes.trace {
        for record in &history.records {
            say(&format!("{:>10} {:?}\n", record.at, record.what));
        }
    }
    if let Some(file) = &wishes.json
        && let Ok(json) = serde_json::to_vec_pretty(&history)
        && let Err(error) = std::fs::write(file, json)
    {
        say(&format!("{file}: {error}\n"));
    }
}

fn say(text: &str) {
    // Nobody to listen is no reason to fail.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
