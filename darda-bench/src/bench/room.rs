//! One conversation with many live sessions, spread over one or more servers, and a publisher in a
//! closed loop: at most a window of messages that not all have received.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Size;
use crate::client::{Client, PATIENCE, Receive, spread};
use crate::process::Kind;
use crate::stamp::{self, Finder, Progress};
use crate::{Result, darda};

/// What a closed loop came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Deliveries a second.
    pub(super) rate: f64,
    /// The servers' CPU time in seconds, for a million deliveries.
    pub(super) cpu_per_million: f64,
}

/// A conversation with its sessions connected. The first sockets are those that publish.
#[derive(Debug)]
pub(super) struct Room {
    client: Client,
    kind: Kind,
    /// Darda has one, and sees to the rest. A bare server hands out what it is given, so the client
    /// publishes to each.
    publishers: usize,
    sessions: usize,
    conversation: String,
    /// Commands sent so far: each has an id of its own.
    commands: u64,
    /// Messages of each measurement: they are numbered anew in each.
    published: Vec<u64>,
}

impl Room {
    /// The sessions are spread evenly over the servers at these addresses.
    pub(super) fn open(kind: Kind, at: &[SocketAddr], sessions: usize) -> Result<Self> {
        let &first = at.first().ok_or("a room needs a server")?;
        let mut client = Client::new(first)?;
        let publishers = match kind {
            Kind::Bare => {
                for &address in at {
                    client.aim(address);
                    client.connect_all(["/publish".to_owned()], &mut darda::ignore)?;
                }
                at.len()
            }
            Kind::Darda => {
                client.connect_all([darda::path("publisher")], &mut darda::ignore)?;
                1
            }
        };
        let users: Vec<String> = (0..sessions)
            .map(|number| format!("listener{number}"))
            .collect();
        let conversation = match kind {
            Kind::Bare => String::new(),
            Kind::Darda => darda::create_group(&mut client, 0, &users)?,
        };
        for (address, users) in spread(&users, at) {
            let paths = users.iter().map(|user| match kind {
                Kind::Bare => "/subscribe".to_owned(),
                Kind::Darda => darda::path(user),
            });
            client.aim(address);
            client.connect_all(paths, &mut darda::ignore)?;
        }
        Ok(Self {
            client,
            kind,
            publishers,
            sessions,
            conversation,
            commands: 1 << 20,
            published: Vec::new(),
        })
    }

    /// `cpu` is what the servers have used so far.
    pub(super) fn measure(
        &mut self,
        window: usize,
        size: &Size,
        cpu: &dyn Fn() -> Result<Duration>,
    ) -> Result<Figures> {
        let mut listeners = Listeners {
            progress: Progress::new(self.sessions, window)?,
            finder: Finder::new(self.kind),
            publishers: self.publishers,
            before: 0,
            reading: false,
            acked: 0,
        };
        let (first, mut command) = (self.commands, Vec::new());
        let warm = Instant::now() + size.time / 4;
        let mut from: Option<(Instant, u64, Duration)> = None;
        let figures = loop {
            let given = listeners.progress.in_flight();
            for _ in given..window as u64 {
                self.publish(&mut listeners.progress, &mut command, size.text)?;
            }
            if given < window as u64 {
                for publisher in 0..self.publishers {
                    self.client.flush(publisher)?;
                }
            }
            self.client
                .turn_until(Instant::now() + PATIENCE, &mut listeners)?;
            let now = Instant::now();
            match from {
                None if now >= warm => from = Some((now, listeners.progress.floor(), cpu()?)),
                Some((start, floor, used)) if now >= start + size.time => {
                    let messages = listeners.progress.floor() - floor;
                    let deliveries = messages as f64 * self.sessions as f64;
                    let used = cpu()?.saturating_sub(used);
                    break Figures {
                        rate: deliveries / now.duration_since(start).as_secs_f64(),
                        cpu_per_million: used.as_secs_f64() / (deliveries / 1e6),
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
        self.published.push(listeners.progress.floor());
        Ok(figures)
    }

    fn publish(
        &mut self,
        progress: &mut Progress,
        command: &mut Vec<u8>,
        bytes: usize,
    ) -> Result<()> {
        let text = stamp::text(progress.give(), bytes);
        match self.kind {
            Kind::Bare => {
                (0..self.publishers).try_for_each(|publisher| self.client.queue(publisher, &text))
            }
            Kind::Darda => {
                darda::send_command(command, &self.conversation, self.commands, &text);
                self.commands += 1;
                self.client.queue(0, command)
            }
        }
    }

    /// The log holds each message once and in order, whatever the sessions saw.
    pub(super) fn judge_history(&mut self) -> Result<()> {
        let found = darda::history(&mut self.client, 0, &self.conversation)?;
        let published = self.published.iter().flat_map(|&messages| 0..messages);
        if found.iter().copied().eq(published) {
            return Ok(());
        }
        let (count, sent) = (found.len(), self.published.iter().sum::<u64>());
        Err(format!(
            "the group's log has {count} messages for {sent}, or in another order: lost or doubled"
        )
        .into())
    }
}

#[derive(Debug)]
struct Listeners {
    progress: Progress,
    finder: Finder,
    publishers: usize,
    /// What the socket being read expected before it was read.
    before: u64,
    reading: bool,
    acked: u64,
}

impl Receive for Listeners {
    #[inline]
    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        let Some(listener) = socket.checked_sub(self.publishers) else {
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
            && let Some(listener) = socket.checked_sub(self.publishers)
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
