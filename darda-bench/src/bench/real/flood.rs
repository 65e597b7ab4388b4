//! Senders in a closed loop that do as a good client does: what is refused for the moment they send
//! again when they are told to, until it is acknowledged.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Size;
use crate::client::{Client, Patience, Receive};
use crate::{Result, darda, stamp};

/// Pairs of users, half of them at each of two gateways; who receives is at the other.
pub(super) struct Flood {
    client: Client,
    conversations: Vec<String>,
    senders: Senders,
    in_flight: usize,
    text: usize,
    command: Vec<u8>,
}

#[derive(Default)]
struct Senders {
    pairs: Vec<Sender>,
    /// Pairs that may have room for a new message.
    writable: Vec<usize>,
    /// What is to be sent again, and when.
    again: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Sender {
    sent: u64,
    unacked: HashSet<u64>,
}

/// What senders were answered.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) acked: u64,
    /// Refused as `busy`.
    pub(super) busy: u64,
    /// Refused for the moment for another reason.
    pub(super) otherwise: u64,
}

impl Flood {
    pub(super) fn open(at: [SocketAddr; 2], size: &Size) -> Result<Self> {
        let mut client = Client::new(at[0])?;
        let mut connect = |name: &str, turn: usize| -> Result<()> {
            for pair in 0..size.pairs {
                client.aim(at[(pair + turn) % 2]);
                let path = darda::path(&format!("{name}{pair}"));
                client.connect_all([path], &mut darda::ignore)?;
            }
            Ok(())
        };
        connect("sender", 0)?;
        connect("receiver", 1)?;
        let open = |pair| {
            let user = format!("receiver{pair}");
            (pair, json!({"cmd": "open_direct", "user": user}))
        };
        let opened = darda::ask(&mut client, (0..size.pairs).map(open).collect(), size.pairs)?;
        let mut senders = Senders::default();
        senders.pairs.resize_with(size.pairs, Sender::default);
        Ok(Self {
            client,
            conversations: opened.iter().map(darda::id_of).collect::<Result<_>>()?,
            senders,
            in_flight: size.in_flight,
            text: size.text,
            command: Vec::new(),
        })
    }

    pub(super) fn tally(&self) -> Tally {
        self.senders.tally
    }

    /// Sends as much as may be under way until a moment.
    pub(super) fn run_until(&mut self, end: Instant) -> Result<()> {
        self.senders.writable = (0..self.senders.pairs.len()).collect();
        while Instant::now() < end {
            let mut writable = std::mem::take(&mut self.senders.writable);
            for pair in writable.drain(..) {
                while self.senders.pairs[pair].unacked.len() < self.in_flight {
                    let sender = &mut self.senders.pairs[pair];
                    let number = sender.sent;
                    sender.sent += 1;
                    sender.unacked.insert(number);
                    self.send(pair, number, false)?;
                }
                self.client.flush(pair)?;
            }
            self.senders.writable = writable;
            self.turn(end)?;
        }
        Ok(())
    }

    /// Sends nothing new and waits until all is acknowledged.
    pub(super) fn come_to_rest(&mut self) -> Result<()> {
        let mut patience = Patience::new(self.tally().acked);
        while self
            .senders
            .pairs
            .iter()
            .any(|sender| !sender.unacked.is_empty())
        {
            self.turn(Instant::now() + Duration::from_millis(100))?;
            self.senders.writable.clear();
            if patience.ends(self.tally().acked) {
                return Err("sends are neither acknowledged nor given up".into());
            }
        }
        Ok(())
    }

    /// Each log holds each message once. The order is not that of the sends: what was refused came
    /// later.
    pub(super) fn judge(&mut self) -> Result<()> {
        for (pair, conversation) in self.conversations.iter().enumerate() {
            let mut found = darda::history(&mut self.client, pair, conversation)?;
            found.sort_unstable();
            let sent = self.senders.pairs[pair].sent;
            if !found.iter().copied().eq(0..sent) {
                let count = found.len();
                return Err(format!(
                    "the log of pair {pair} has {count} messages for {sent}: lost or doubled"
                )
                .into());
            }
        }
        Ok(())
    }

    /// What is due again, and then what comes until a moment.
    fn turn(&mut self, end: Instant) -> Result<()> {
        while let Some(&Reverse((due, pair, number))) = self.senders.again.peek()
            && due <= Instant::now()
        {
            self.senders.again.pop();
            self.send(pair, number, true)?;
            self.client.flush(pair)?;
        }
        let next = self.senders.again.peek().map(|Reverse((due, ..))| *due);
        let until = next.map_or(end, |due| due.min(end));
        let left = until.saturating_duration_since(Instant::now());
        self.client.turn(Some(left), &mut self.senders)
    }

    fn send(&mut self, pair: usize, number: u64, again: bool) -> Result<()> {
        let text = stamp::text(number, self.text);
        let conversation = &self.conversations[pair];
        darda::send_command(&mut self.command, conversation, number, &text);
        if again {
            self.command.pop();
            self.command.extend_from_slice(b",\"resend\":true}");
        }
        self.client.queue(pair, &self.command)
    }
}

impl Receive for Senders {
    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        if socket >= self.pairs.len() || !payload.starts_with(b"{\"id\":") {
            return Ok(());
        }
        if let Ok(Some(number)) = darda::acked(payload) {
            if !self.pairs[socket].unacked.remove(&number) {
                return Err(format!("pair {socket}: {number} was acked twice").into());
            }
            self.tally.acked += 1;
            self.writable.push(socket);
            return Ok(());
        }
        let reply: Value = serde_json::from_slice(payload)?;
        let error = &reply["error"];
        let (Some(number), Some(after)) = (reply["id"].as_u64(), error["retry_after_ms"].as_u64())
        else {
            return Err(format!("a send was refused for good: {reply}").into());
        };
        if error["code"] == "busy" {
            self.tally.busy += 1;
        } else {
            self.tally.otherwise += 1;
        }
        let due = Instant::now() + Duration::from_millis(after);
        self.again.push(Reverse((due, socket, number)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(unacked: &[u64]) -> Senders {
        let sender = Sender {
            sent: unacked.len() as u64,
            unacked: unacked.iter().copied().collect(),
        };
        Senders {
            pairs: vec![sender],
            ..Senders::default()
        }
    }

    #[test]
    fn a_busy_send_waits_as_long_as_it_is_told_and_stays_under_way() {
        let mut senders = senders(&[7]);
        let before = Instant::now();
        let busy = br#"{"id":7,"error":{"code":"busy","message":"full","retry_after_ms":500}}"#;
        senders.frame(0, busy).unwrap();
        assert_eq!((senders.tally.busy, senders.tally.acked), (1, 0));
        let Reverse((due, pair, number)) = senders.again.pop().unwrap();
        assert!(due >= before + Duration::from_millis(500));
        assert_eq!((pair, number), (0, 7));
        assert!(senders.pairs[0].unacked.contains(&7));
    }

    #[test]
    fn a_second_ack_and_a_refusal_for_good_are_errors() {
        let mut senders = senders(&[7]);
        senders.frame(0, br#"{"id":7,"ok":{}}"#).unwrap();
        assert!(senders.frame(0, br#"{"id":7,"ok":{}}"#).is_err());
        let refused = br#"{"id":7,"error":{"code":"forbidden","message":"no"}}"#;
        assert!(senders.frame(0, refused).is_err());
    }
}
