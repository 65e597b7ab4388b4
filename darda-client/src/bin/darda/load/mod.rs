//! `darda load`: sends at a fixed rate, whatever the server does, and says how long everything took.
//!
//! Open loop: when a message is due is laid down before it begins, and its time counts from then. A server
//! that stalls makes every message late that was due meanwhile; a generator that waits for answers would
//! measure one. See LOAD.md.

mod ledger;
mod plot;
mod processes;
mod report;
mod session;
mod setup;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use self::ledger::Ledger;
use self::processes::{Named, Watch};
use self::report::Report;
use crate::{Result, complain, say};

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// A server; name several and the sessions are spread over them.
    #[arg(long = "server", default_value = "ws://127.0.0.1:8080")]
    servers: Vec<String>,
    /// Connections, each of a user of its own.
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// Members of a conversation: 2 is direct, more is a group.
    #[arg(long, default_value_t = 2)]
    members: usize,
    /// Messages a second, of all sessions together.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How long, in seconds, after the warm-up.
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
    /// A process whose CPU and memory are measured: `NAME=PID`. Several may be named. Linux only.
    #[arg(long = "pid")]
    processes: Vec<Named>,
    /// Where a plot of the times is written, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Fail if anything was lost, doubled or refused.
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn load(options: Options) -> Result<()> {
    if options.rate <= 0.0 || options.members < 2 || options.sessions < options.members {
        return Err(
            "there must be a rate, and sessions for one conversation of two members".into(),
        );
    }
    complain(&format!("connecting {} sessions", options.sessions));
    let gathered = setup::gather(&options).await?;
    let warm_up = messages(&options, options.warm_up);
    let total = warm_up + messages(&options, options.seconds);
    let ledger = Arc::new(Ledger::new(options.rate, total));
    let cast = gathered.start(&ledger, options.bytes);
    complain(&format!("warming up for {} s", options.warm_up));
    cast.offer(&ledger, 0..warm_up).await;
    complain(&format!("measuring for {} s", options.seconds));
    let watch = Watch::start(&options.processes)?;
    cast.offer(&ledger, warm_up..total).await;
    let used = watch.finish()?;
    let began = Instant::now();
    while !ledger.is_settled(options.members) && began.elapsed().as_secs() < options.patience {
        sleep(POLL).await;
    }
    let mut report = Report::new(&options, used);
    for tally in cast.finish().await? {
        report.add(tally);
    }
    report.settle(&ledger, warm_up..total);
    say(&report.table());
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(&report))?;
        complain(&format!("the plot is {}", path.display()));
    }
    if options.strict && !report.is_clean() {
        return Err("something was lost, doubled or refused".into());
    }
    Ok(())
}

const POLL: Duration = Duration::from_millis(50);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a count of messages"
)]
fn messages(options: &Options, seconds: u64) -> usize {
    (options.rate * seconds as f64).round() as usize
}
