//! One conversation with many live sessions on one server.

use std::time::Duration;

use super::Size;
use super::room::Room;
use crate::Result;
use crate::process::{Kind, Server};
use crate::report::{Goal, Rounds, Table};

/// The goals are for this window.
const GOAL_WINDOW: usize = 64;

pub(super) fn run(size: &Size) -> Result<()> {
    for &sessions in size.sessions {
        let mut curve = Curve::new(size);
        for _ in 0..size.rounds {
            for &kind in size.kinds {
                let server = Server::start(kind)?;
                let mut room = Room::open(kind, &[server.address], sessions)?;
                curve.measure(kind, &mut room, size, &|| server.cpu())?;
            }
        }
        let title = format!(
            "fan-out of {} B to {sessions} sessions, million deliveries/s",
            size.text
        );
        curve.print(title, size, Some(Goal::AtMost(0.45)));
    }
    Ok(())
}

/// Deliveries a second of the bare fan-out: the measure of the machine.
pub(super) fn yardstick(size: &Size) -> Result<f64> {
    let sessions = size.sessions.first().copied().unwrap_or(1);
    let server = Server::start(Kind::Bare)?;
    let mut room = Room::open(Kind::Bare, &[server.address], sessions)?;
    Ok(room.measure(GOAL_WINDOW, size, &|| server.cpu())?.rate)
}

/// Deliveries a second and what they cost, by window and server.
pub(super) struct Curve {
    rates: Vec<[Rounds; 2]>,
    costs: Vec<[Rounds; 2]>,
}

impl Curve {
    pub(super) fn new(size: &Size) -> Self {
        let rates = vec![[Rounds::default(), Rounds::default()]; size.windows.len()];
        Self {
            costs: rates.clone(),
            rates,
        }
    }

    /// One round of each window; `cpu` is what the servers have used so far.
    pub(super) fn measure(
        &mut self,
        kind: Kind,
        room: &mut Room,
        size: &Size,
        cpu: &dyn Fn() -> Result<Duration>,
    ) -> Result<()> {
        for (at, &window) in size.windows.iter().enumerate() {
            let figures = room.measure(window, size, cpu)?;
            self.rates[at][kind as usize].push(figures.rate / 1e6);
            self.costs[at][kind as usize].push(figures.cpu_per_million);
        }
        Ok(())
    }

    pub(super) fn print(&self, title: String, size: &Size, cost: Option<Goal>) {
        let columns = [
            "window",
            "bare",
            "darda",
            "ratio",
            "goal",
            "bare CPU s/M",
            "darda CPU s/M",
            "goal",
        ];
        let columns = &columns[..columns.len() - usize::from(cost.is_none())];
        let mut table = Table::new(title, columns);
        for ((window, [bare, ours]), [bare_cost, our_cost]) in
            size.windows.iter().zip(&self.rates).zip(&self.costs)
        {
            let ratio = ours.over(bare);
            let goal = |goal: Option<Goal>, value| match goal {
                Some(goal) if *window == GOAL_WINDOW => goal.judge(value, 2),
                _ => String::new(),
            };
            table.row([
                window.to_string(),
                bare.show(2),
                ours.show(2),
                ratio.show(2),
                goal(Some(Goal::AtLeast(0.7)), ratio.median()),
                bare_cost.show(2),
                our_cost.show(2),
                goal(cost, our_cost.median()),
            ]);
        }
        table.print();
    }
}
