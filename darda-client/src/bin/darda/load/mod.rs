//! `darda load`: sends at a fixed rate, whatever the server does, and says how long everything took.
//!
//! Open loop: when a message is due is laid down before it begins, and its time counts from then. A server
//! that stalls makes every message late that was due meanwhile; a generator that waits for answers would
//! measure one. See LOAD.md.
//!
//! | | |
//! |---|---|
//! | `mix`, `rhythm` | who talks with whom and when; who types and looks when |
//! | `protocol`, `line` | how that is said to a server; the WebSocket |
//! | `cast`, `session`, `attention` | everybody; one of them; its receipts |
//! | `ledger`, `tally`, `processes` | what is noted |
//! | `step`, `highest` | one measurement; the search for the highest rate |
//! | `report`, `plot` | what came of it |

mod attention;
mod cast;
mod highest;
mod ledger;
mod line;
mod mix;
mod plot;
mod processes;
mod protocol;
mod report;
mod rhythm;
mod session;
mod step;
mod tally;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use self::cast::Cast;
use self::mix::{Kind, Mix};
use self::processes::Named;
use self::protocol::Protocol;
use self::report::Report;
use crate::{Result, Trust, complain, say};

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// A server; name several and the sessions are spread over them.
    #[arg(long = "server", default_value = "ws://127.0.0.1:8080")]
    servers: Vec<String>,
    /// What the servers speak.
    #[arg(long, value_enum, default_value = "darda")]
    protocol: Protocol,
    #[command(flatten)]
    trust: Trust,
    /// What kind of conversations there are.
    #[arg(long = "mix", value_enum, default_value = "even")]
    kind: Kind,
    /// Connections, each of a user of its own.
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// Members of a conversation of the even mix: 2 is direct, more is a group.
    #[arg(long, default_value_t = 2)]
    members: usize,
    /// Members of a conversation above which nobody sends receipts or says that they type. Default: no limit.
    #[arg(long)]
    receipts_up_to: Option<usize>,
    /// Messages a second, of all sessions together; with --find-rate the first that is tried.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How long, in seconds, after the warm-up; with --find-rate each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before that, at the same rate, which are not measured.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// How long is waited for the last ones, in seconds.
    #[arg(long, default_value_t = 5)]
    patience: u64,
    /// Bytes of a message's text.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Find the highest rate that holds --within, and loses nothing.
    #[arg(long)]
    find_rate: bool,
    /// Milliseconds in which 99 of 100 messages have to be with their last member.
    #[arg(long, default_value_t = 200.0, requires = "find_rate")]
    within: f64,
    /// How long the search may take, in minutes.
    #[arg(long, default_value_t = 15, requires = "find_rate")]
    find_minutes: u64,
    /// A part whose CPU and memory are measured: `NAME=PID` or `NAME=PID,PID`, with all descendants. Several
    /// may be named. Linux only.
    #[arg(long = "pid")]
    processes: Vec<Named>,
    /// Where a plot of the times is written, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Where the figures are written, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail if anything was lost, doubled or refused; with --find-rate, if no rate held.
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn load(options: Options) -> Result<()> {
    if !(options.rate > 0.0 && options.rate.is_finite()) || options.seconds == 0 {
        return Err("there must be a rate, and seconds to measure".into());
    }
    let mix = Mix::new(options.kind, options.sessions, options.members)?;
    complain(&format!("connecting {}", mix.about()));
    let mut cast = Cast::gather(&options, Arc::new(mix)).await?;
    let failed = if options.find_rate {
        let highest = highest::find(&mut cast, &options).await?;
        say(&highest.conclusion());
        show(&options, highest.best(), &highest.json())?;
        highest.best().is_none().then_some("no rate held")
    } else {
        let report = step::measure(&mut cast, &options, options.rate).await?;
        show(&options, Some(&report), &report.json())?;
        (report.faults() > 0).then_some("something was lost, doubled or refused")
    };
    cast.dismiss().await?;
    match failed {
        Some(why) if options.strict => Err(why.into()),
        _ => Ok(()),
    }
}

/// Prints and writes what is asked for.
fn show(options: &Options, report: Option<&Report>, json: &Value) -> Result<()> {
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{json:#}\n"))?;
    }
    let Some(report) = report else { return Ok(()) };
    say(&report.table());
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(report))?;
        complain(&format!("the plot is {}", path.display()));
    }
    Ok(())
}
