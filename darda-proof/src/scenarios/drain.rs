//! A rolling restart: each gateway is asked to stop, moves its clients away, and is started again.

use std::time::Duration;

use rustix::process::Signal;

use super::{begin, finish};
use crate::Result;
use crate::system::{Layout, Place};
use crate::wishes::Wishes;

/// Ten seconds of drain, and a little for the last goodbyes.
const STOPPED: Duration = Duration::from_secs(20);

pub(super) async fn rolling(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("drain", Layout::Real, wishes).await?;
    for at in 0..2 {
        run.pause(2).await;
        let name = format!("gateway {} drains and is restarted", at + 1);
        let figures = run
            .stage(&name, async |run| {
                let door = run.system.gateways[at].address();
                run.system.gateways[at].signal(Signal::TERM)?;
                run.system.doors.close(door);
                let status = run.system.gateways[at].ended(STOPPED).await?;
                if !status.success() {
                    return Err(format!("it ended with {status}").into());
                }
                run.system.start_again(Place::Gateway(at)).await
            })
            .await?;
        let least = wishes.size.clients / 5;
        run.expect(
            figures.drains >= least,
            format!("{name}: few clients were told to move"),
        );
        // Spread over ten seconds: no second holds more than thrice its share, or a few.
        let most = (figures.connects * 3 / 10).max(10);
        let busiest = figures.most_connects;
        run.expect(
            busiest <= most,
            format!("{name}: {busiest} connects in one second"),
        );
        run.spread();
    }
    run.pause(2).await;
    finish(run).await
}
