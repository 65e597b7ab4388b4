//! One conversation, many live sessions, one publisher in a closed loop: at most a window of
//! messages that not all have received.

use std::time::{Duration, Instant};

use super::Size;
use crate::client::{Client, PATIENCE, Receive};
use crate::process::{Kind, Server};
use crate::report::{Goal, Rounds, Table};
use crate::stamp::{self, Finder, Progress};
use crate::{Result, darda};

/// The goals are for this window.
const GOAL_WINDOW: usize = 64;

pub(super) fn run(size: &Size) -> Result<()> {
    for &sessions in size.sessions {
        let mut rates = vec![[Rounds::default(), Rounds::default()]; size.windows.len()];
        let mut costs = rates.clone();
        for _ in 0..size.rounds {
            for &kind in size.kinds {
                let mut room = Room::open(kind, sessions)?;
                for (at, &window) in size.windows.iter().enumerate() {
                    let figures = room.measure(window, size)?;
                    rates[at][kind as usize].push(figures.rate / 1e6);
                    costs[at][kind as usize].push(figures.cpu_per_million);
                }
            }
        }
        let title = format!(
            "fan-out of {} B to {sessions} sessions, million deliveries/s",
            size.text
        );
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
        let mut table = Table::new(title, &columns);
        for ((window, [bare, ours]), [bare_cost, our_cost]) in
            size.windows.iter().zip(&rates).zip(&costs)
        {
            let ratio = ours.over(bare);
            let judged = *window == GOAL_WINDOW;
            let goal = |goal: Goal, value| {
                if judged {
                    goal.judge(value, 2)
                } else {
                    String::new()
                }
            };
            table.row([
                window.to_string(),
                bare.show(2),
                ours.show(2),
                ratio.show(2),
                goal(Goal::AtLeast(0.7), ratio.median()),
                bare_cost.show(2),
                our_cost.show(2),
                goal(Goal::AtMost(0.45), our_cost.median()),
            ]);
        }
        table.print();
    }
    Ok(())
}

/// Deliveries a second of the bare fan-out: the measure of the machine.
pub(super) fn yardstick(size: &Size) -> Result<f64> {
    let sessions = size.sessions.first().copied().unwrap_or(1);
    Ok(Room::open(Kind::Bare, sessions)?
        .measure(GOAL_WINDOW, size)?
        .rate)
}

struct Figures {
    rate: f64,
    cpu_per_million: f64,
}

/// A conversation with its sessions connected. The publisher is socket 0.
#[derive(Debug)]
struct Room {
    server: Server,
    client: Client,
    kind: Kind,
    sessions: usize,
    conversation: String,
    /// Commands sent so far: each has an id of its own.
    commands: u64,
}

impl Room {
    fn open(kind: Kind, sessions: usize) -> Result<Self> {
        let server = Server::start(kind)?;
        let mut client = Client::new(server.address)?;
        let users: Vec<String> = (0..sessions)
            .map(|number| format!("listener{number}"))
            .collect();
        let publisher = match kind {
            Kind::Bare => "/publish".to_owned(),
            Kind::Darda => darda::path("publisher"),
        };
        client.connect_all([publisher], &mut darda::ignore)?;
        let conversation = match kind {
            Kind::Bare => String::new(),
            Kind::Darda => darda::create_group(&mut client, 0, &users)?,
        };
        let paths = users.iter().map(|user| match kind {
            Kind::Bare => "/subscribe".to_owned(),
            Kind::Darda => darda::path(user),
        });
        client.connect_all(paths, &mut darda::ignore)?;
        Ok(Self {
            server,
            client,
            kind,
            sessions,
            conversation,
            commands: 1 << 20,
        })
    }

    fn measure(&mut self, window: usize, size: &Size) -> Result<Figures> {
        let mut listeners = Listeners {
            progress: Progress::new(self.sessions, window)?,
            finder: Finder::new(self.kind),
            before: 0,
            reading: false,
            acked: 0,
        };
        let (first, mut command) = (self.commands, Vec::new());
        let mut publish = |client: &mut Client, listeners: &mut Listeners| -> Result<()> {
            let number = listeners.progress.give();
            let text = stamp::text(number, size.text);
            if self.kind == Kind::Darda {
                darda::send_command(&mut command, &self.conversation, self.commands, &text);
                self.commands += 1;
                client.queue(0, &command)
            } else {
                client.queue(0, &text)
            }
        };
        let warm = Instant::now() + size.time / 4;
        let mut from: Option<(Instant, u64, Duration)> = None;
        let figures = loop {
            let given = listeners.progress.in_flight();
            for _ in given..window as u64 {
                publish(&mut self.client, &mut listeners)?;
            }
            if given < window as u64 {
                self.client.flush(0)?;
            }
            self.client
                .turn_until(Instant::now() + PATIENCE, &mut listeners)?;
            let now = Instant::now();
            match from {
                None if now >= warm => {
                    from = Some((now, listeners.progress.floor(), self.server.cpu()?));
                }
                Some((start, floor, cpu)) if now >= start + size.time => {
                    let messages = listeners.progress.floor() - floor;
                    let deliveries = messages as f64 * self.sessions as f64;
                    let cpu = self.server.cpu()?.saturating_sub(cpu);
                    break Figures {
                        rate: deliveries / now.duration_since(start).as_secs_f64(),
                        cpu_per_million: cpu.as_secs_f64() / (deliveries / 1e6),
                    };
                }
                _ => {}
            }
        };
        // Whatever is still under way must arrive, and be acked.
        let deadline = Instant::now() + PATIENCE;
        let to_ack = self.commands - first;
        while listeners.progress.in_flight() > 0 || listeners.acked < to_ack {
            self.client.turn_until(deadline, &mut listeners)?;
        }
        Ok(figures)
    }
}

#[derive(Debug)]
struct Listeners {
    progress: Progress,
    finder: Finder,
    /// What the socket being read expected before it was read.
    before: u64,
    reading: bool,
    acked: u64,
}

impl Receive for Listeners {
    #[inline]
    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        let Some(listener) = socket.checked_sub(1) else {
            self.acked += u64::from(darda::acked(payload)?.is_some());
            return Ok(());
        };
        if !self.reading {
            self.reading = true;
            self.before = self.progress.next(listener);
        }
        match self.finder.find(payload) {
            Some(stamp) => self.progress.received(listener, stamp),
            None => unasked(payload),
        }
    }

    fn drained(&mut self, socket: usize) -> Result<()> {
        if std::mem::take(&mut self.reading)
            && let Some(listener) = socket.checked_sub(1)
        {
            self.progress.moved(listener, self.before);
        }
        Ok(())
    }
}

/// Events beside the messages are welcome, but for those that tell of a loss.
pub(super) fn unasked(frame: &[u8]) -> Result<()> {
    for bad in [
        &b"{\"event\":\"gap\""[..],
        b"{\"event\":\"withdrawn\"",
        b"{\"event\":\"left\"",
    ] {
        if frame.starts_with(bad) {
            return Err(format!("the server says {}", String::from_utf8_lossy(frame)).into());
        }
    }
    Ok(())
}
