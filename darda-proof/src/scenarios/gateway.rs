//! A gateway is killed: its clients find the other and send again what was not acknowledged.

use super::{begin, finish};
use crate::Result;
use crate::system::{Layout, Place};
use crate::wishes::Wishes;

pub(super) async fn killed(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("gateway-killed", Layout::Real, wishes).await?;
    run.conditions.node_killed = true;
    for at in 0..2 {
        run.pause(2).await;
        let name = format!("gateway {} is killed", at + 1);
        // Its door stays open: clients find out by themselves that nobody answers.
        let figures = run
            .stage(&name, async |run| run.system.gateways[at].kill().await)
            .await?;
        let least = wishes.size.clients / 5;
        run.expect(
            figures.sessions_lost >= least,
            format!("{name}: few clients were on it"),
        );
        let door = run.system.gateways[at].address();
        run.system.doors.close(door);
        run.system.start_again(Place::Gateway(at)).await?;
        // As a balancer does in time: without, all stay where they are.
        run.spread();
    }
    run.pause(2).await;
    finish(run).await
}
