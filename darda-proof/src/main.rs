//! Darda's promises, proved with real parts: see the README.

mod cast;
mod client;
mod judge;
mod last_look;
mod load;
mod probes;
mod report;
mod run;
mod scenarios;
mod system;
mod wire;
mod wishes;

use std::io::Write as _;
use std::process::ExitCode;

use darda_backends::{StartError, required};
use tokio::signal::unix::{SignalKind, signal};
use wishes::{USAGE, Wishes};

/// This is a program: whoever reads an error is a person, so a sentence will do.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn say(text: &str) {
    // Nobody to listen is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
    let wishes = match Wishes::read(std::env::args().skip(1)) {
        Ok(wishes) => wishes,
        Err(error) => {
            say(&format!("{error}\n\n{USAGE}\n{}", scenarios::help()));
            return ExitCode::from(2);
        }
    };
    // The servers and the clients share two cores: the clients keep to little of them.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("failed: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(Box::pin(prove(&wishes))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let missing = error.downcast_ref::<StartError>();
            if let Some(StartError::Missing(why)) = missing
                && !required()
            {
                say(&format!("SKIPPED what needs real servers: {why}"));
                return ExitCode::SUCCESS;
            }
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs what is asked for until it is done, or until we are told to stop: then all that was started
/// ends with what holds it.
async fn prove(wishes: &Wishes) -> Result<bool> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        passed = scenarios::run_all(wishes) => passed,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}
