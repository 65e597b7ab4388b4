//! Darda's speed and memory, measured against bare programs in the same run. See the README.

mod bare;
mod bench;
mod client;
mod darda;
mod process;
mod real;
mod report;
mod stamp;

use std::process::ExitCode;

use report::say;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// These are programs: whoever reads an error is a person, so a sentence will do.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
usage: darda-bench [--quick] [--rounds N] [--only bare|darda] [--entries N] NAME...

  --quick      small and short: shows that all runs and nothing is lost, measures nothing
  --rounds N   rounds of each figure, 3 unless given
  --only X     one of the two servers, for profiling: no ratios
  --entries N  length of the long log of real-history, 1000000 unless given
  NAME         all; memory, or one of idle, fanout, direct, storm;
               real, or one of real-sends, real-hop, real-history, real-pressure, real-storm,
               real-hot, real-receipts, real-chat, real-ports
  DARDA_SERVER names the server's binary, DARDA the command `darda`, which real-chat needs;
  else they are those beside this program.
  The real ones run on DARDA_TEST_AMQP_URL, DARDA_TEST_REDIS_URL and DARDA_TEST_MONGO_URL.";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<()> {
    raise_file_limit()?;
    if let [command, address] = arguments.as_slice()
        && command == "serve-bare"
    {
        return bare::serve(address.parse()?);
    }
    let mut size = bench::Size::FULL;
    let mut wanted = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => size = bench::Size::QUICK,
            "--rounds" => size.rounds = arguments.next().ok_or(USAGE)?.parse()?,
            "--entries" => size.entries = arguments.next().ok_or(USAGE)?.parse()?,
            "--only" => match arguments.next().as_deref() {
                Some("bare") => size.kinds = &[process::Kind::Bare],
                Some("darda") => size.kinds = &[process::Kind::Darda],
                _ => return Err(USAGE.into()),
            },
            name => wanted.push(bench::named(name).ok_or(USAGE)?),
        }
    }
    if wanted.is_empty() {
        return Err(USAGE.into());
    }
    wanted
        .into_iter()
        .flatten()
        .try_for_each(|program| program(&size))
}

/// Thousands of sockets need more than the usual soft limit; children inherit it.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?)
}
