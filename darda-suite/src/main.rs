//! The behaviour suite of Darda's clients: see `clients/suite/README.md`.

mod device;
mod frames;
mod history;
mod judge;
mod proxy;
mod scenario;
mod server;
mod stage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scenario::Scenario;
use crate::stage::{Outcome, play};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Scenarios that are played at a time: they mostly wait.
const AT_ONCE: usize = 4;
const USAGE: &str = "usage: darda-suite --subject 'CMD' [--subject 'CMD'…] [SCENARIO…]";

/// What the command line says.
#[derive(Debug, Default)]
struct Arguments {
    subjects: Vec<String>,
    scenarios: BTreeSet<String>,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--subject" => arguments.subjects.push(words.next().ok_or(USAGE)?),
                option if option.starts_with('-') => return Err(USAGE.into()),
                _ => drop(arguments.scenarios.insert(word)),
            }
        }
        if arguments.subjects.is_empty() {
            return Err(USAGE.into());
        }
        Ok(arguments)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::read()?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/suite/scenarios");
    let mut scenarios = Scenario::all(&directory)?;
    if !arguments.scenarios.is_empty() {
        scenarios.retain(|scenario| arguments.scenarios.contains(&scenario.name));
        if scenarios.len() != arguments.scenarios.len() {
            return Err("there is no such scenario".into());
        }
    }
    let binary = server_binary()?;
    let back_ends = back_ends();
    let required = std::env::var("DARDA_REQUIRE_BACKENDS").is_ok_and(|value| value == "1");
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for subject in &arguments.subjects {
        for scenario in &scenarios {
            let (subject, scenario) = (subject.clone(), scenario.clone());
            let (binary, back_ends, turns) = (binary.clone(), back_ends.clone(), turns.clone());
            playing.spawn(async move {
                let _turn = turns.acquire().await;
                let began = Instant::now();
                let outcome = play(&scenario, &subject, &binary, back_ends.as_deref()).await;
                (subject, scenario, outcome, began.elapsed())
            });
        }
    }
    let (mut failed, mut skipped, mut passed) = (0, 0, 0);
    while let Some(played) = playing.join_next().await {
        let (subject, scenario, outcome, took) = played?;
        let what = format!("{subject}: {} ({} ms)", scenario.name, took.as_millis());
        match outcome? {
            Outcome::Passed => {
                passed += 1;
                say(&format!("passed  {what}"));
            }
            Outcome::Skipped(missing) if required => {
                failed += 1;
                say(&format!(
                    "FAILED  {what}: it needs {missing}, which is not there"
                ));
            }
            Outcome::Skipped(missing) => {
                skipped += 1;
                say(&format!(
                    "SKIPPED {what}: it needs {missing}, which is not there"
                ));
            }
            Outcome::Failed(faults, logs) => {
                failed += 1;
                say(&format!("FAILED  {what}: {}", scenario.about));
                for fault in faults.iter().take(10) {
                    say(&format!("        {fault}"));
                }
                say(&format!("        logs: {}", logs.display()));
            }
        }
    }
    say(&format!(
        "{passed} passed, {failed} failed, {skipped} skipped"
    ));
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The server's binary: what `DARDA_SERVER` names, else the one beside this program.
fn server_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DARDA_SERVER") {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()?.with_file_name("darda-server");
    if !beside.exists() {
        let path = beside.display();
        return Err(format!("{path} is missing: build it, or name it in DARDA_SERVER").into());
    }
    Ok(beside)
}

/// The settings of a server on the real servers that are there.
fn back_ends() -> Option<Vec<(String, String)>> {
    let settings = [
        ("DARDA_BROKER", "DARDA_TEST_AMQP_URL"),
        ("DARDA_CACHE", "DARDA_TEST_REDIS_URL"),
        ("DARDA_STORE", "DARDA_TEST_MONGO_URL"),
    ];
    let named = settings.map(|(setting, url)| Some((setting.to_owned(), std::env::var(url).ok()?)));
    named.into_iter().collect()
}

#[expect(clippy::print_stdout, reason = "what this program is for")]
fn say(line: &str) {
    println!("{line}");
}
