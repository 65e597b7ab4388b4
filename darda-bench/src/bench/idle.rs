//! What a connection costs in memory while nothing happens on it.

use super::Size;
use crate::client::Client;
use crate::process::{Kind, Server};
use crate::report::{Goal, Rounds, Table};
use crate::{Result, darda};

pub(super) fn run(size: &Size) -> Result<()> {
    let [mut bare, mut ours] = [Rounds::default(), Rounds::default()];
    for _ in 0..size.rounds {
        for &kind in size.kinds {
            let figure = if kind == Kind::Bare {
                &mut bare
            } else {
                &mut ours
            };
            figure.push(per_connection(kind, size.idle)?);
        }
    }
    let ratio = ours.over(&bare);
    let title = format!(
        "{} idle connections: resident memory of each, KiB",
        size.idle
    );
    let columns = ["bare echo", "darda", "ratio", "goal", "goal, KiB"];
    let mut table = Table::new(title, &columns);
    table.row([
        bare.show(1),
        ours.show(1),
        ratio.show(2),
        Goal::AtMost(1.3).judge(ratio.median(), 1),
        Goal::AtMost(9.0).judge(ours.median(), 0),
    ]);
    table.print();
    Ok(())
}

fn per_connection(kind: Kind, connections: usize) -> Result<f64> {
    let server = Server::start(kind)?;
    let mut client = Client::new(server.address)?;
    let before = server.settled_memory()?;
    let paths = (0..connections).map(|number| match kind {
        Kind::Bare => "/echo".to_owned(),
        Kind::Darda => darda::path(&format!("idle{number}")),
    });
    client.connect_all(paths, &mut darda::ignore)?;
    let after = server.settled_memory()?;
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}
