//! From a send at one gateway to the receive at another, when there is little to do.

use crate::Result;
use crate::bench::Size;
use crate::bench::direct::Pairs;
use crate::process::Kind;
use crate::real::{self, BackEnds, System};
use crate::report::{Goal, Rounds, Table};

pub(crate) fn run(size: &Size) -> Result<()> {
    let Some(back_ends) = BackEnds::find("real-hop")? else {
        return Ok(());
    };
    let mut figures: [[Rounds; 2]; 2] = Default::default();
    for _ in 0..size.rounds {
        for &kind in size.kinds {
            let times = match kind {
                Kind::Bare => {
                    real::runtime()?.block_on(real::hops(&back_ends, size.hop, size.text))?
                }
                Kind::Darda => {
                    let system = System::start(&back_ends, 2)?;
                    let at = [system.gateways[0].address, system.gateways[1].address];
                    let mut pairs = Pairs::open(kind, at, size)?;
                    // Each conversation's first send loads its members.
                    pairs.light((size.hop.0, 2 * u32::try_from(size.pairs)?))?;
                    let times = pairs.light(size.hop)?;
                    system.await_written()?;
                    pairs.judge_history()?;
                    times
                }
            };
            let [p50, p99] = &mut figures[kind as usize];
            p50.push(times.value_at_quantile(0.5) as f64 / 1e6);
            p99.push(times.value_at_quantile(0.99) as f64 / 1e6);
        }
    }
    let [bare, ours] = &figures;
    let title = format!(
        "real servers: send to receive on another gateway at {} messages/s, ms",
        size.hop.0
    );
    let columns = ["", "bare: Redis, RabbitMQ", "darda", "ratio", "goal"];
    let mut table = Table::new(title, &columns);
    for (at, name) in ["p50", "p99"].into_iter().enumerate() {
        let ratio = ours[at].over(&bare[at]);
        let goal = if name == "p99" {
            Goal::AtMost(2.0).judge(ratio.median(), 1)
        } else {
            String::new()
        };
        let (bare, ours) = (bare[at].show(2), ours[at].show(2));
        table.row([name.into(), bare, ours, ratio.show(2), goal]);
    }
    table.print();
    Ok(())
}
