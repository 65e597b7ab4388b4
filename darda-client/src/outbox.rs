//! What waits to be acknowledged, in the order in which it was sent: no socket and no time.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use crate::Result;
use crate::id::{ClientId, ConversationId};
use crate::storage::Item;
use crate::wire::Ack;

/// What waits to be acknowledged. One at a time is under way in each conversation: were there more, a
/// refusal of the first would put the second before it in the log.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queues: HashMap<ConversationId, VecDeque<Waiting>>,
    count: usize,
}

/// An item that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) item: Item,
    /// The storage has it. It does not go out before, or a restart might send it under another name.
    pub(crate) kept: bool,
    /// It may have been sent before.
    pub(crate) tried: bool,
    /// Commands that ask for it, on this connection.
    pub(crate) commands: Vec<u64>,
    /// It waits for its time, as the server asked.
    pub(crate) resting: bool,
    /// Who waits for the storage.
    pub(crate) stored: Option<oneshot::Sender<Result<()>>>,
    /// Who waits for the server.
    pub(crate) answer: Option<oneshot::Sender<Result<Ack>>>,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// An item of an earlier life: it may have been sent.
    pub(crate) fn restore(&mut self, item: Item) {
        self.push(Waiting {
            item,
            kept: true,
            tried: true,
            commands: Vec::new(),
            resting: false,
            stored: None,
            answer: None,
        });
    }

    pub(crate) fn add(
        &mut self,
        item: Item,
        stored: oneshot::Sender<Result<()>>,
        answer: oneshot::Sender<Result<Ack>>,
    ) {
        self.push(Waiting {
            item,
            kept: false,
            tried: false,
            commands: Vec::new(),
            resting: false,
            stored: Some(stored),
            answer: Some(answer),
        });
    }

    fn push(&mut self, waiting: Waiting) {
        self.count += 1;
        let conversation = waiting.item.conversation.clone();
        self.queues
            .entry(conversation)
            .or_default()
            .push_back(waiting);
    }

    pub(crate) fn conversations(&self) -> Vec<ConversationId> {
        self.queues.keys().cloned().collect()
    }

    /// The first of a conversation.
    pub(crate) fn first(&mut self, conversation: &ConversationId) -> Option<&mut Waiting> {
        self.queues.get_mut(conversation)?.front_mut()
    }

    pub(crate) fn find(
        &mut self,
        conversation: &ConversationId,
        client_id: &ClientId,
    ) -> Option<&mut Waiting> {
        let mut queue = self.queues.get_mut(conversation)?.iter_mut();
        queue.find(|waiting| waiting.item.client_id == *client_id)
    }

    /// Whether one's own acknowledgement is awaited in it.
    pub(crate) fn is_under_way(&self, conversation: &ConversationId) -> bool {
        let queue = self.queues.get(conversation);
        let first = queue.and_then(VecDeque::front);
        first.is_some_and(|waiting| !waiting.commands.is_empty())
    }

    /// It waits no more.
    pub(crate) fn remove(
        &mut self,
        conversation: &ConversationId,
        client_id: &ClientId,
    ) -> Option<Waiting> {
        let queue = self.queues.get_mut(conversation)?;
        let at = queue
            .iter()
            .position(|waiting| waiting.item.client_id == *client_id)?;
        let waiting = queue.remove(at)?;
        if queue.is_empty() {
            self.queues.remove(conversation);
        }
        self.count -= 1;
        Some(waiting)
    }

    /// The connection is gone: what was under way may have arrived.
    pub(crate) fn disconnected(&mut self) {
        for queue in self.queues.values_mut() {
            for waiting in queue {
                waiting.commands.clear();
                waiting.resting = false;
            }
        }
    }
}

#[cfg(test)]
mod tests;
