//! Takes the outbox to the server: in each conversation one after another, until it is acknowledged or
//! refused for good.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use super::asking::Purpose;
use super::timers::Due;
use crate::id::{ClientId, ConversationId};
use crate::storage::{Change, Item};
use crate::updates::Update;
use crate::wire::{Ack, Command, Entry, Refusal};
use crate::{Error, ErrorKind, Result};

/// Sends under way at a time, each in a conversation of its own. The server takes 128 commands.
const MAX_UNDER_WAY: usize = 64;

impl Driver {
    /// Keeps something to be sent.
    pub(super) fn append(
        &mut self,
        mut item: Item,
        stored: oneshot::Sender<Result<()>>,
        answer: oneshot::Sender<Result<Ack>>,
    ) {
        let refused = if self.outbox.len() >= self.settings.max_outbox {
            Some("too much waits to be sent already")
        } else if self
            .outbox
            .find(&item.conversation, &item.client_id)
            .is_some()
        {
            Some("this client id waits to be sent already")
        } else {
            item.peer = self.peers.get(&item.conversation).cloned();
            let kept = self.keeper.keep(Change::Put(item.clone()));
            (!kept).then_some("the storage is too far behind")
        };
        if let Some(message) = refused {
            // Whoever asked may have gone.
            let _ = stored.send(Err(Error::new(ErrorKind::Full, message)));
            return;
        }
        self.outbox.add(item, stored, answer);
    }

    pub(super) fn item_kept(
        &mut self,
        conversation: &ConversationId,
        client_id: &ClientId,
        result: Result<()>,
    ) {
        let failed = result.is_err();
        if let Some(waiting) = self.outbox.find(conversation, client_id) {
            waiting.kept = true;
            if let Some(stored) = waiting.stored.take() {
                // Whoever asked may have gone.
                let _ = stored.send(result);
            }
        }
        if failed {
            self.outbox.remove(conversation, client_id);
        }
        self.ready.push_back(conversation.clone());
    }

    /// Sends what can be sent, as far as the connection takes it.
    pub(super) fn send_all(&mut self) {
        while self.sends_under_way() < MAX_UNDER_WAY
            && let Some(conversation) = self.ready.pop_front()
        {
            let waits = self.outbox.first(&conversation).is_some_and(|waiting| {
                waiting.kept && waiting.commands.is_empty() && !waiting.resting
            });
            if waits && !self.send_first(&conversation) {
                return;
            }
        }
    }

    /// `false`: the connection takes no more, and it is ready as before.
    fn send_first(&mut self, conversation: &ConversationId) -> bool {
        let Some(waiting) = self.outbox.first(conversation) else {
            return true;
        };
        let Item {
            conversation,
            client_id,
            append,
            ..
        } = waiting.item.clone();
        let command = Command::Append {
            conversation: conversation.clone(),
            client_id: client_id.clone(),
            append,
            resend: waiting.tried,
        };
        let purpose = Purpose::Send(conversation.clone(), client_id.clone());
        let Ok(id) = self.command(&command, purpose) else {
            self.ready.push_back(conversation);
            return false;
        };
        if let Some(waiting) = self.outbox.find(&conversation, &client_id) {
            waiting.tried = true;
            waiting.commands.push(id);
        }
        true
    }

    /// It is time to try it once more.
    pub(super) fn send_again(&mut self, conversation: &ConversationId, client_id: &ClientId) {
        let up = self.line.is_up();
        if let Some(waiting) = self.outbox.first(conversation)
            && waiting.item.client_id == *client_id
        {
            waiting.resting = false;
            if up && !self.send_first(conversation) {
                let at = Instant::now() + self.settings.timing.reply;
                self.timers
                    .set(at, Due::Send(conversation.clone(), client_id.clone()));
            }
        }
    }

    /// The server has it.
    pub(super) fn acked(&mut self, conversation: &ConversationId, client_id: &ClientId, ack: Ack) {
        let Some(waiting) = self.outbox.remove(conversation, client_id) else {
            return;
        };
        self.no_longer_under_way(&waiting.commands);
        self.keeper
            .keep(Change::Remove(conversation.clone(), client_id.clone()));
        self.ready.push_back(conversation.clone());
        let Some(sender) = self.user.clone() else {
            return;
        };
        let epoch = self.talk(conversation).epoch;
        let (body, changes_members) = waiting.item.append.into_body();
        let entry = Entry {
            conversation: conversation.clone(),
            position: ack.position,
            prev: ack.prev,
            epoch: if changes_members {
                ack.position.0
            } else {
                epoch
            },
            entry: ack.entry.clone(),
            sender,
            client_id: client_id.clone(),
            body,
        };
        if let Some(answer) = waiting.answer {
            // Nobody has to wait for it.
            let _ = answer.send(Ok(ack.clone()));
        }
        self.tell(Update::Sent {
            conversation: conversation.clone(),
            client_id: client_id.clone(),
            ack,
        });
        self.receive(entry);
    }

    pub(super) fn send_refused(
        &mut self,
        conversation: &ConversationId,
        client_id: &ClientId,
        refusal: Refusal,
    ) {
        if let Some(wait) = refusal.retry_after_ms {
            let at = self.after(Duration::from_millis(wait));
            if let Some(waiting) = self.outbox.find(conversation, client_id) {
                waiting.resting = true;
                let commands = std::mem::take(&mut waiting.commands);
                self.no_longer_under_way(&commands);
                self.timers
                    .set(at, Due::Send(conversation.clone(), client_id.clone()));
            }
            return;
        }
        if self.reopen(conversation, client_id, &refusal) {
            return;
        }
        let Some(waiting) = self.outbox.remove(conversation, client_id) else {
            return;
        };
        self.no_longer_under_way(&waiting.commands);
        self.ready.push_back(conversation.clone());
        let error = Error::refused(refusal);
        if let Some(answer) = waiting.answer {
            let _ = answer.send(Err(error.clone()));
        }
        // The storage lets it go when the app has seen this.
        self.tell(Update::Refused {
            conversation: conversation.clone(),
            client_id: client_id.clone(),
            append: waiting.item.append,
            error,
        });
    }

    /// A direct conversation comes into being with its first message; until then a server may have
    /// forgotten that it was opened. Whether it is opened again, once for each item.
    fn reopen(
        &mut self,
        conversation: &ConversationId,
        client_id: &ClientId,
        refusal: &Refusal,
    ) -> bool {
        if refusal.code != "not_found" {
            return false;
        }
        let Some(waiting) = self.outbox.find(conversation, client_id) else {
            return false;
        };
        let Some(user) = waiting.item.peer.take() else {
            return false;
        };
        waiting.resting = true;
        let commands = std::mem::take(&mut waiting.commands);
        self.no_longer_under_way(&commands);
        self.ask(
            Command::OpenDirect { user },
            Purpose::Reopen(conversation.clone()),
        );
        true
    }

    pub(super) fn reopened(&mut self, conversation: &ConversationId) {
        if let Some(waiting) = self.outbox.first(conversation) {
            waiting.resting = false;
            self.ready.push_back(conversation.clone());
        }
    }

    /// The time until which an own send may explain a gap.
    pub(super) fn own_ack_until(&self, conversation: &ConversationId) -> Option<Instant> {
        let under_way = self.outbox.is_under_way(conversation);
        under_way.then(|| Instant::now() + self.settings.timing.own_ack)
    }
}
