//! Pairs of users in direct chats: acked sends a second in a closed loop, and how long a message
//! takes from send to receive when there is little to do.
//!
//! Sockets: the senders come first, then their receivers in the same order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;

use super::Size;
use super::fanout::yardstick;
use super::room::unasked;
use crate::client::{Client, PATIENCE, Receive};
use crate::process::{Kind, Server};
use crate::report::{Goal, Rounds, Table};
use crate::stamp::{self, Finder};
use crate::{Result, darda};

/// The goal is so many acked sends a second on a machine whose bare fan-out makes so many
/// deliveries a second.
const GOAL: (f64, f64) = (200_000.0, 4_500_000.0);

pub(super) fn run(size: &Size) -> Result<()> {
    let mut figures: [Figures; 2] = Default::default();
    let mut machine = Rounds::default();
    for _ in 0..size.rounds {
        machine.push(yardstick(size)?);
        for &kind in size.kinds {
            let figures = &mut figures[kind as usize];
            let server = Server::start(kind)?;
            let mut pairs = Pairs::open(kind, [server.address; 2], size)?;
            let busy = pairs.busy(size, &|| server.cpu())?;
            figures.rate.push(busy.rate / 1e3);
            figures.cpu.push(busy.cpu_per_message * 1e6);
            // On a fresh server: the busy one still has to put away what it was sent.
            drop(pairs);
            drop(server);
            let server = Server::start(kind)?;
            let mut pairs = Pairs::open(kind, [server.address; 2], size)?;
            let latency = pairs.light(size.light)?;
            figures
                .p50
                .push(latency.value_at_quantile(0.5) as f64 / 1e3);
            figures
                .p99
                .push(latency.value_at_quantile(0.99) as f64 / 1e3);
        }
    }
    let [bare, ours] = &figures;

    let title = format!(
        "direct sends of {} B, acked: {} pairs × {} in flight",
        size.text, size.pairs, size.in_flight
    );
    let mut table = Table::new(
        title,
        &["server", "thousand/s", "server CPU µs/message", "goal"],
    );
    let goal = Goal::AtLeast(GOAL.0 / GOAL.1 * machine.median() / 1e3);
    table.row(["bare relay".into(), bare.rate.show(1), bare.cpu.show(2)]);
    let judged = goal.judge(ours.rate.median(), 0);
    table.row(["darda".into(), ours.rate.show(1), ours.cpu.show(2), judged]);
    table.row([
        "ratio".into(),
        ours.rate.over(&bare.rate).show(2),
        ours.cpu.over(&bare.cpu).show(2),
    ]);
    table.print();

    let title = format!(
        "send to receive at {} messages/s, {} pairs, µs",
        size.light.0, size.pairs
    );
    let mut table = Table::new(title, &["", "bare relay", "darda", "ratio", "goal"]);
    for (name, bare, ours) in [("p50", &bare.p50, &ours.p50), ("p99", &bare.p99, &ours.p99)] {
        let ratio = ours.over(bare);
        let goal = Goal::AtMost(1.5).judge(ratio.median(), 1);
        table.row([name.into(), bare.show(0), ours.show(0), ratio.show(2), goal]);
    }
    table.print();
    Ok(())
}

#[derive(Default)]
struct Figures {
    rate: Rounds,
    cpu: Rounds,
    p50: Rounds,
    p99: Rounds,
}

/// What a closed loop came to.
#[derive(Debug)]
pub(super) struct Busy {
    /// Acked sends a second.
    pub(super) rate: f64,
    /// The servers' CPU time, in seconds.
    pub(super) cpu_per_message: f64,
}

/// Connected pairs of users.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) client: Client,
    kind: Kind,
    pub(super) conversations: Vec<String>,
    traffic: Traffic,
    command: Vec<u8>,
    text: usize,
}

impl Pairs {
    /// The senders connect to the first server, the receivers to the second.
    pub(super) fn open(kind: Kind, at: [SocketAddr; 2], size: &Size) -> Result<Self> {
        let mut client = Client::new(at[0])?;
        let path = |me: String, peer: String| match kind {
            Kind::Bare => format!("/relay?id={me}&to={peer}"),
            Kind::Darda => darda::path(&me),
        };
        let names = |number| (format!("sender{number}"), format!("receiver{number}"));
        let senders = (0..size.pairs)
            .map(names)
            .map(|(sender, receiver)| path(sender, receiver));
        let receivers = (0..size.pairs)
            .map(names)
            .map(|(sender, receiver)| path(receiver, sender));
        client.connect_all(senders, &mut darda::ignore)?;
        client.aim(at[1]);
        client.connect_all(receivers, &mut darda::ignore)?;
        let mut conversations = vec![String::new(); size.pairs];
        if kind == Kind::Darda {
            let open = |number| {
                (
                    number,
                    json!({"cmd": "open_direct", "user": names(number).1}),
                )
            };
            let opened = darda::ask(&mut client, (0..size.pairs).map(open).collect(), size.pairs)?;
            conversations = opened.iter().map(darda::id_of).collect::<Result<_>>()?;
        }
        let traffic = Traffic {
            kind,
            sent: vec![0; size.pairs],
            unacked: vec![0; size.pairs],
            received: vec![0; size.pairs],
            finders: vec![Finder::new(kind); size.pairs],
            acks: 0,
            receipts: 0,
            writable: Vec::new(),
            sent_at: vec![None; size.pairs],
            latency: Histogram::new(3)?,
        };
        let (command, text) = (Vec::new(), size.text);
        Ok(Self {
            client,
            kind,
            conversations,
            traffic,
            command,
            text,
        })
    }

    /// A closed loop; `cpu` is what the servers have used so far.
    pub(super) fn busy(&mut self, size: &Size, cpu: &dyn Fn() -> Result<Duration>) -> Result<Busy> {
        for pair in 0..size.pairs {
            for _ in 0..size.in_flight {
                self.send(pair)?;
            }
            self.client.flush(pair)?;
        }
        let warm = Instant::now() + size.time / 4;
        let mut from: Option<(Instant, u64, Duration)> = None;
        let busy = loop {
            self.client
                .turn_until(Instant::now() + PATIENCE, &mut self.traffic)?;
            // One write for all that this turn's acks allow.
            let mut writable = std::mem::take(&mut self.traffic.writable);
            for &pair in &writable {
                while (self.traffic.unacked[pair].count_ones() as usize) < size.in_flight {
                    self.send(pair)?;
                }
                self.client.flush(pair)?;
            }
            writable.clear();
            self.traffic.writable = writable;
            let now = Instant::now();
            match from {
                None if now >= warm => from = Some((now, self.traffic.acks, cpu()?)),
                Some((start, acks, used)) if now >= start + size.time => {
                    let messages = (self.traffic.acks - acks) as f64;
                    let used = cpu()?.saturating_sub(used);
                    break Busy {
                        rate: messages / now.duration_since(start).as_secs_f64(),
                        cpu_per_message: used.as_secs_f64() / messages,
                    };
                }
                _ => {}
            }
        };
        self.await_rest()?;
        Ok(busy)
    }

    /// So many messages a second, and so many in all: nanoseconds from send to receive.
    pub(super) fn light(&mut self, (per_second, messages): (u32, u32)) -> Result<Histogram<u64>> {
        let pairs = self.conversations.len();
        let start = Instant::now();
        for number in 0..messages {
            let due = start + Duration::from_secs(1) * number / per_second;
            while let Some(left) = due.checked_duration_since(Instant::now())
                && !left.is_zero()
            {
                self.client.turn(Some(left), &mut self.traffic)?;
            }
            let pair = number as usize % pairs;
            if self.traffic.sent_at[pair].is_some() {
                return Err(
                    "a message took longer than its pair's turn: lost, or not light".into(),
                );
            }
            // Timed from the write and not from when it was due: the wait ends on a whole
            // millisecond, which is the client's doing.
            self.traffic.sent_at[pair] = Some(Instant::now());
            self.send(pair)?;
            self.client.flush(pair)?;
        }
        self.await_rest()?;
        Ok(std::mem::replace(
            &mut self.traffic.latency,
            Histogram::new(3)?,
        ))
    }

    /// Each conversation's log holds each acked message once and in order, whatever the sessions saw.
    pub(super) fn judge_history(&mut self) -> Result<()> {
        for (pair, conversation) in self.conversations.iter().enumerate() {
            let found = darda::history(&mut self.client, pair, conversation)?;
            let sent = self.traffic.sent[pair];
            if !found.iter().copied().eq(0..sent) {
                let count = found.len();
                return Err(format!(
                    "the log of pair {pair} has {count} messages for {sent}, or in another order: \
                     lost or doubled"
                )
                .into());
            }
        }
        Ok(())
    }

    fn send(&mut self, pair: usize) -> Result<()> {
        let number = self.traffic.sent[pair];
        self.traffic.sent[pair] += 1;
        self.traffic.unacked[pair] |= bit(number);
        let text = stamp::text(number, self.text);
        match self.kind {
            Kind::Bare => self.client.queue(pair, &text),
            Kind::Darda => {
                let conversation = &self.conversations[pair];
                darda::send_command(&mut self.command, conversation, number, &text);
                self.client.queue(pair, &self.command)
            }
        }
    }

    /// Until each message has been acked and received.
    fn await_rest(&mut self) -> Result<()> {
        let sent: u64 = self.traffic.sent.iter().sum();
        let deadline = Instant::now() + PATIENCE;
        while self.traffic.acks < sent || self.traffic.receipts < sent {
            self.client.turn_until(deadline, &mut self.traffic)?;
            self.traffic.writable.clear();
        }
        Ok(())
    }
}

/// What was sent, acked and received, by pair.
#[derive(Debug)]
struct Traffic {
    kind: Kind,
    sent: Vec<u64>,
    /// Of the numbers in flight, fewer than 64, one bit each.
    unacked: Vec<u64>,
    received: Vec<u64>,
    finders: Vec<Finder>,
    acks: u64,
    receipts: u64,
    /// Pairs that got acks.
    writable: Vec<usize>,
    sent_at: Vec<Option<Instant>>,
    latency: Histogram<u64>,
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

impl Receive for Traffic {
    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        match socket.checked_sub(self.sent.len()) {
            None => self.ack(socket, payload),
            Some(pair) => self.receipt(pair, payload),
        }
    }
}

impl Traffic {
    fn ack(&mut self, pair: usize, payload: &[u8]) -> Result<()> {
        let number = match self.kind {
            Kind::Bare => payload
                .first_chunk()
                .and_then(|digits| stamp::unstamp(*digits)),
            Kind::Darda => darda::acked(payload)?,
        };
        let Some(number) = number else {
            return unasked(payload);
        };
        if self.unacked[pair] & bit(number) == 0 {
            return Err(format!("pair {pair}: {number} was acked twice").into());
        }
        self.unacked[pair] &= !bit(number);
        self.acks += 1;
        if self.writable.last() != Some(&pair) {
            self.writable.push(pair);
        }
        Ok(())
    }

    fn receipt(&mut self, pair: usize, payload: &[u8]) -> Result<()> {
        let Some(found) = self.finders[pair].find(payload) else {
            return unasked(payload);
        };
        let next = self.received[pair];
        if found != stamp::stamp(next) {
            let found = String::from_utf8_lossy(&found).into_owned();
            return Err(
                format!("pair {pair} got {found} where {next} was next: lost or doubled").into(),
            );
        }
        self.received[pair] += 1;
        self.receipts += 1;
        if let Some(sent_at) = self.sent_at[pair].take() {
            self.latency
                .record(u64::try_from(sent_at.elapsed().as_nanos())?)?;
        }
        Ok(())
    }
}
