//! One measurement at one rate.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Options;
use super::cast::Cast;
use super::processes::Watch;
use super::report::Report;
use super::session::Run;
use crate::{Result, complain};

const POLL: Duration = Duration::from_millis(50);

/// Warms up, measures, waits for the last ones, and says what came of it. The sessions stay connected.
pub(super) async fn measure(cast: &mut Cast, options: &Options, rate: f64) -> Result<Report> {
    let run = cast.begin(rate, options.warm_up, options.seconds).await?;
    let used = tokio::select! {
        used = offer(cast, options, &run) => used?,
        never = cast.live() => match never {},
    };
    cast.failure().await?;
    Report::new(options, rate, &run, used)
}

async fn offer(cast: &Cast, options: &Options, run: &Run) -> Result<Vec<super::processes::Used>> {
    complain(&format!("warming up for {} s", options.warm_up));
    cast.offer(run, run.ledger.warm_up()).await;
    complain(&format!("measuring for {} s", options.seconds));
    let watch = Watch::start(&options.processes)?;
    cast.offer(run, run.ledger.measured()).await;
    let used = watch.finish()?;
    let began = Instant::now();
    let patience = Duration::from_secs(options.patience);
    while !run.ledger.is_settled() && began.elapsed() < patience {
        sleep(POLL).await;
    }
    Ok(used)
}
