//! One connection of the load: sends when it is told to, and notes what comes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use darda_client::wire::{Command, Refusal};
use darda_client::{Append, ClientId, Connection, ConversationId, Incoming, Message};
use hdrhistogram::Histogram;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::ledger::{Fate, Ledger};
use crate::Result;

/// The longest time that is told apart: 100 s, in microseconds.
const LONGEST: u64 = 100_000_000;
/// Digits of a time that are kept.
const DIGITS: u8 = 3;

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) message: usize,
    pub(super) conversation: ConversationId,
}

/// What one session noted.
#[derive(Debug)]
pub(super) struct Tally {
    /// From when a message was due to when it was put on the wire, in microseconds.
    pub(super) sent: Histogram<u64>,
    /// To its acknowledgement.
    pub(super) acked: Histogram<u64>,
    /// To each of the others.
    pub(super) delivered: Histogram<u64>,
    /// To the last of the others.
    pub(super) last: Histogram<u64>,
    /// Refusals by code.
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) doubled: u64,
    /// Times that the server said that it dropped events for this session.
    pub(super) gaps: u64,
    /// The connection ended before the load did, with this code.
    pub(super) closed: Option<u16>,
}

/// One of the load's connections.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) ledger: Arc<Ledger>,
    /// Begins each text, so that what an earlier load sent is told apart.
    pub(super) name: Arc<str>,
    pub(super) bytes: usize,
    /// The others of a conversation.
    pub(super) others: u32,
    /// Measured from here on.
    pub(super) warm_up: usize,
}

/// What is looked at of a frame.
#[derive(Debug, Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    id: Option<u64>,
    ok: Option<IgnoredAny>,
    error: Option<Refusal>,
}

impl Session {
    /// Until no more orders come, and the connection is of no use any more.
    pub(super) async fn run(mut self) -> Result<Tally> {
        let mut tally = Tally::new()?;
        let mut under_way = HashMap::new();
        let mut seen = HashSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    let Some(order) = order else { return Ok(tally) };
                    number += 1;
                    let message = order.message;
                    if self.send(number, order)? {
                        under_way.insert(number, message);
                        if message >= self.warm_up {
                            tally.sent.saturating_record(self.ledger.late_by(message));
                        }
                    } else {
                        self.ledger.set(message, Fate::NotSent);
                    }
                }
                incoming = self.connection.next(), if tally.closed.is_none() => match incoming {
                    Incoming::Frame(text) => {
                        self.note(&text, &mut tally, &mut under_way, &mut seen)?;
                    }
                    Incoming::Closed(code) => tally.closed = Some(code),
                    _ => {}
                },
            }
        }
    }

    fn send(&self, number: u64, order: Order) -> Result<bool> {
        let Order {
            message,
            conversation,
            ..
        } = order;
        let text = format!("{}{message} ", self.name);
        let width = self.bytes;
        let command = Command::Append {
            conversation,
            client_id: ClientId::new(format!("{}{message}", self.name)),
            append: Append::Send(Message::new(format!("{text:.<width$}"))),
            resend: false,
        };
        Ok(self.connection.send(command.frame(number)?))
    }

    fn note(
        &self,
        text: &str,
        tally: &mut Tally,
        under_way: &mut HashMap<u64, usize>,
        seen: &mut HashSet<usize>,
    ) -> Result<()> {
        let frame: Frame<'_> = serde_json::from_str(text)?;
        if let Some(message) = frame.id.and_then(|id| under_way.remove(&id)) {
            let late = self.ledger.late_by(message);
            if frame.ok.is_some() {
                self.ledger.set(message, Fate::Acked);
                if message >= self.warm_up {
                    tally.acked.saturating_record(late);
                }
            } else if let Some(refusal) = frame.error {
                self.ledger.set(message, Fate::Refused);
                if message >= self.warm_up {
                    *tally.refused.entry(refusal.code).or_default() += 1;
                }
            }
            return Ok(());
        }
        match frame.event.as_deref() {
            Some("gap") => tally.gaps += 1,
            Some("entry") => {
                let number = frame.text.as_deref().and_then(|text| self.number(text));
                let Some(message) = number else { return Ok(()) };
                if !seen.insert(message) {
                    tally.doubled += 1;
                    return Ok(());
                }
                let late = self.ledger.late_by(message);
                let is_last = self.ledger.see(message) == self.others;
                if message >= self.warm_up {
                    tally.delivered.saturating_record(late);
                    if is_last {
                        tally.last.saturating_record(late);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The number of a message of this load.
    fn number(&self, text: &str) -> Option<usize> {
        let rest = text.strip_prefix(&*self.name)?;
        rest.split(' ').next()?.parse().ok()
    }
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        let times = || Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Ok(Self {
            sent: times()?,
            acked: times()?,
            delivered: times()?,
            last: times()?,
            refused: BTreeMap::new(),
            doubled: 0,
            gaps: 0,
            closed: None,
        })
    }
}
