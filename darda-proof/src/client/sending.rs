//! How a client sends: with the same client id until it is acknowledged or refused for good.

use std::time::Duration;

use darda_core::model::{ClientId, ConversationId, EntryId, MemberChange};
use darda_sim::history::{Reply, Request, Seen, Via};
use serde_json::Value;
use tokio::time::Instant;

use super::calls::Purpose;
use super::state::State;
use crate::wire::{Acked, Failure};

/// Without a reply for so long, a send is repeated.
const NO_REPLY: Duration = Duration::from_secs(10);
/// The protocol lets so many commands be in flight; some of it is left for what is not a send.
const AT_ONCE: usize = 64;
/// Unacknowledged sends of one client. Above, its user types no further.
const MOST_WAITING: usize = 128;
/// Own messages that are remembered.
const MOST_OWN: usize = 32;

/// Something to send until it is acknowledged or refused for good.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(super) conversation: ConversationId,
    pub(super) client_id: ClientId,
    pub(super) id: EntryId,
    pub(super) cmd: &'static str,
    /// The command's fields, without `resend`.
    pub(super) fields: Value,
    pub(super) change: Option<MemberChange>,
    pub(super) resend: bool,
    /// When to try; `None` while a reply is awaited.
    pub(super) due: Option<Instant>,
    pub(super) tried: Option<Instant>,
    pub(super) failures: u32,
}

impl Sending {
    pub(super) fn is_change(&self) -> bool {
        self.change.is_some()
    }

    /// No reply comes any longer: the session is gone.
    pub(super) fn lost(&mut self) {
        self.tried = None;
        self.due = Some(Instant::now());
    }
}

pub(super) fn acked(ack: &Acked) -> Reply {
    Reply::Acked {
        position: ack.position,
        prev: ack.prev,
        repeat: ack.repeat,
    }
}

impl State {
    /// Takes a send; `false` if too many wait already.
    pub(super) fn enqueue(&mut self, mut sending: Sending) -> bool {
        if self.sends.len() >= MOST_WAITING {
            return false;
        }
        sending.due = Some(Instant::now());
        let number = self.number();
        self.sends.insert(number, sending);
        self.send_if_due(Instant::now());
        true
    }

    /// Sends what is due, in the order in which it was made.
    pub(super) fn send_if_due(&mut self, now: Instant) {
        if !self.link.as_ref().is_some_and(|link| link.resumed) {
            return;
        }
        for sending in self.sends.values_mut() {
            if sending.tried.is_some_and(|tried| now >= tried + NO_REPLY) {
                sending.due = Some(now);
            }
        }
        let in_flight = self.sends.values().filter(|it| it.due.is_none()).count();
        let due = self
            .sends
            .iter()
            .filter(|(_, it)| it.due.is_some_and(|due| due <= now));
        let due: Vec<_> = due
            .map(|(number, _)| *number)
            .take(AT_ONCE.saturating_sub(in_flight))
            .collect();
        for number in due {
            let Some(sending) = self.sends.get_mut(&number) else {
                continue;
            };
            let mut fields = sending.fields.clone();
            if sending.resend {
                fields["resend"] = true.into();
            }
            let request = Request::Send {
                conversation: sending.conversation,
                client_id: sending.client_id.clone(),
                id: sending.id,
                resend: sending.resend,
                change: sending.change.clone(),
            };
            let cmd = sending.cmd;
            sending.resend = true;
            sending.due = None;
            sending.tried = Some(now);
            self.ask(cmd, fields, request, Purpose::Send { number });
        }
    }

    pub(super) fn send_answered(&mut self, number: u64, answer: Result<Acked, Failure>) {
        match answer {
            Ok(ack) => {
                // A reply to an earlier try may have come before.
                if let Some(sending) = self.sends.remove(&number) {
                    self.acknowledged(sending, &ack);
                }
            }
            Err(failure) => match failure.retry_after() {
                Some(wait) => {
                    let Some(sending) = self.sends.get_mut(&number) else {
                        return;
                    };
                    let random = self.rng.u64(..500 << sending.failures.min(3));
                    sending.failures += 1;
                    sending.tried = None;
                    sending.due = Some(Instant::now() + wait + Duration::from_millis(random));
                }
                None => {
                    self.sends.remove(&number);
                }
            },
        }
    }

    /// The reply stands for the event.
    fn acknowledged(&mut self, sending: Sending, ack: &Acked) {
        let conversation = sending.conversation;
        let left = matches!(sending.change, Some(MemberChange::Leave));
        self.probes.acked(conversation, ack.entry, ack.position);
        if sending.cmd == "send" {
            if self.own.len() >= MOST_OWN {
                let at = self.rng.usize(..MOST_OWN);
                self.own.swap_remove(at);
            }
            self.own.push(sending);
        }
        if left {
            return self.forget(conversation);
        }
        let entry = Seen {
            conversation,
            id: ack.entry,
            position: ack.position,
            prev: ack.prev,
            epoch: None,
        };
        self.arrived(entry, Via::Ack);
    }
}
