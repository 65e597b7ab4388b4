//! `darda-backends COMMAND …`: runs a command with the three servers, which end with it.

use std::process::ExitCode;

use darda_backends::{Shared, StartError, required};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
#[expect(clippy::print_stderr, reason = "it talks to people")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: darda-backends COMMAND [ARGUMENT …]");
        return ExitCode::FAILURE;
    };
    let mut shared = match Shared::start().await {
        Ok(shared) => shared,
        Err(StartError::Missing(why)) if !required() => {
            eprintln!("SKIPPED what needs real servers: {why}");
            Shared::default()
        }
        Err(error) => {
            eprintln!("darda-backends: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut command = tokio::process::Command::new(&program);
    command.args(arguments).envs(shared.urls().variables());
    if let Some(processes) = shared.processes() {
        command.env(Shared::PROCESSES, processes);
    }
    // A signal for the command comes to both: the servers stay until it has ended.
    let (Ok(_interrupt), Ok(_terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return ExitCode::FAILURE;
    };
    match command.status().await {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(1))
        }
        Err(error) => {
            eprintln!("darda-backends: {}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
