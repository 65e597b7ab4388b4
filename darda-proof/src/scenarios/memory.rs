//! One server with everything in memory: what needs no real server.

use std::time::Duration;

use darda_backends::Proxy;
use tokio::time::sleep;

use super::{begin, finish};
use crate::Result;
use crate::run::Run;
use crate::system::{Layout, System};
use crate::wishes::Wishes;

pub(super) async fn calm(wishes: &Wishes) -> Result<bool> {
    let mut run = begin("calm", Layout::Memory, wishes).await?;
    run.pause(0).await;
    let figures = run.stage("nothing happens", async |_| Ok(())).await?;
    run.expect(
        figures.retry == 0,
        "sends were refused though nothing happened",
    );
    finish(run).await
}

pub(super) async fn connections_cut(wishes: &Wishes) -> Result<bool> {
    const CUTS: u64 = 4;
    let system = System::start(Layout::Memory, &super::logs("connections-cut")).await?;
    let server = system.gateways[0].address();
    let proxy = Proxy::start(server.port()).await?;
    system.doors.only(proxy.address());
    let mut run = Run::begin("connections-cut", system, wishes, 0).await?;
    let figures = run
        .stage("all connections are cut again and again", async |run| {
            for _ in 0..CUTS {
                run.pause(CUTS).await;
                proxy.cut();
            }
            sleep(Duration::from_millis(100)).await;
            Ok(())
        })
        .await?;
    let all = wishes.size.clients;
    run.expect(
        figures.sessions_lost >= all,
        "not every client lost its connection",
    );
    finish(run).await
}
