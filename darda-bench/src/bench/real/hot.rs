//! A group so large that all its members at once are a load: their sessions are spread over two
//! gateways on real servers. Against it stand two bare servers with half of the sessions each, to both
//! of which the client publishes: two processes that write to all sockets are what cannot be avoided.

use std::time::Duration;

use crate::Result;
use crate::bench::Size;
use crate::bench::fanout::Curve;
use crate::bench::room::Room;
use crate::process::{Kind, Server, cpu};
use crate::real::{BackEnds, System};

/// How large, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot {
    /// Members that are connected, without the publisher.
    pub(crate) members: usize,
    pub(crate) windows: &'static [usize],
    /// Time of one measurement, after a quarter of it to warm up.
    pub(crate) time: Duration,
}

pub(crate) fn run(size: &Size) -> Result<()> {
    let Some(back_ends) = BackEnds::find("real-hot")? else {
        return Ok(());
    };
    let members = size.hot.members;
    let size = &Size {
        windows: size.hot.windows,
        time: size.hot.time,
        ..size.clone()
    };
    let mut curve = Curve::new(size);
    for _ in 0..size.rounds {
        for &kind in size.kinds {
            match kind {
                Kind::Bare => {
                    let servers = [Server::start(kind)?, Server::start(kind)?];
                    let at = [servers[0].address, servers[1].address];
                    let mut room = Room::open(kind, &at, members)?;
                    curve.measure(kind, &mut room, size, &|| cpu(&servers))?;
                }
                Kind::Darda => {
                    let system = System::start(&back_ends, 2)?;
                    let mut room = Room::open(kind, &system.addresses(), members)?;
                    curve.measure(kind, &mut room, size, &|| cpu(&system.gateways))?;
                    system.await_written()?;
                    room.judge_history()?;
                }
            }
        }
    }
    let title = format!(
        "real servers: fan-out of {} B to {members} sessions on two gateways, million deliveries/s",
        size.text
    );
    curve.print(title, size, None);
    Ok(())
}
