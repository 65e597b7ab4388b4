//! Acked sends a second through a gateway and a writer, against the same number of confirmed
//! publishes and appends by a bare program.

use std::time::Duration;

use crate::Result;
use crate::bench::Size;
use crate::bench::direct::Pairs;
use crate::process::Kind;
use crate::real::{self, BackEnds, Draining, Load, System};
use crate::report::{Goal, Rounds, Table};

pub(crate) fn run(size: &Size) -> Result<()> {
    let Some(back_ends) = BackEnds::find("real-sends")? else {
        return Ok(());
    };
    let size = &Size {
        time: size.real_time,
        ..size.clone()
    };
    let load = Load {
        conversations: size.pairs,
        in_flight: size.pairs * size.in_flight,
        text: size.text,
        time: size.time,
    };
    let [
        mut undrained,
        mut drained,
        mut stored,
        mut ours,
        mut cpu,
        mut behind,
    ] = [const { Vec::new() }; 6].map(Rounds::from_iter);
    for _ in 0..size.rounds {
        if size.kinds.contains(&Kind::Bare) {
            let runtime = real::runtime()?;
            let sends = |draining| runtime.block_on(real::sends(&back_ends, load, draining));
            undrained.push(sends(Draining::No)? / 1e3);
            drained.push(sends(Draining::Yes)? / 1e3);
            stored.push(sends(Draining::Stored)? / 1e3);
        }
        if size.kinds.contains(&Kind::Darda) {
            let (busy, rest) = through_darda(&back_ends, size)?;
            ours.push(busy.rate / 1e3);
            cpu.push(busy.cpu_per_message * 1e6);
            behind.push(rest.as_secs_f64());
        }
    }
    let title = format!(
        "real servers: sends of {} B, acked: {} pairs × {} in flight",
        size.text, size.pairs, size.in_flight
    );
    let columns = [
        "",
        "thousand/s",
        "darda's ratio",
        "goal",
        "nodes' CPU µs/message",
        "s until all is stored",
    ];
    let mut table = Table::new(title, &columns);
    let ratio = ours.over(&drained);
    let judged = Goal::AtLeast(0.6).judge(ratio.median(), 1);
    table.row([
        "bare: append and publish".into(),
        undrained.show(2),
        ours.over(&undrained).show(2),
    ]);
    table.row([
        "bare: append, publish and consume".into(),
        drained.show(2),
        ratio.show(2),
        judged,
    ]);
    table.row([
        "bare: append, publish, consume and store".into(),
        stored.show(2),
        ours.over(&stored).show(2),
    ]);
    table.row([
        "darda".into(),
        ours.show(2),
        String::new(),
        String::new(),
        cpu.show(0),
        behind.show(1),
    ]);
    table.print();
    Ok(())
}

fn through_darda(
    back_ends: &BackEnds,
    size: &Size,
) -> Result<(crate::bench::direct::Busy, Duration)> {
    let system = System::start(back_ends, 1)?;
    let mut pairs = Pairs::open(Kind::Darda, [system.gateways[0].address; 2], size)?;
    let busy = pairs.busy(size, &|| system.cpu())?;
    let rest = system.await_written()?;
    pairs.judge_history()?;
    Ok((busy, rest))
}
