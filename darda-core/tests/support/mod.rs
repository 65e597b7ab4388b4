//! Alice and Bob on two nodes.

#![allow(clippy::unwrap_used, reason = "a part of tests")]

use darda_core::model::{ClientId, ConversationId, UserId};
use darda_core::ports::EventBody;
use darda_core::{Ack, Chat, Options, Ports, Result, SendRequest, Session};
use futures::StreamExt;

/// Alice, and Bob on another node, in a conversation of the two.
pub(crate) struct Pair {
    alice: Session,
    bob: Session,
    conversation: ConversationId,
}

impl Pair {
    /// Each on a node over ports of its own, which share what is behind them.
    pub(crate) async fn start(of_alice: Ports, of_bob: Ports) -> Self {
        let user = |name: &str| UserId::new(name).unwrap();
        let there = Chat::start(of_bob, Options::default());
        let here = Chat::start(of_alice, Options::default());
        let alice = here.connect(user("alice")).await.unwrap();
        let bob = there.connect(user("bob")).await.unwrap();
        let conversation = alice.open_direct(user("bob")).await.unwrap();
        Self {
            alice,
            bob,
            conversation,
        }
    }

    /// Alice's message of this number; the same one if she says it again.
    pub(crate) async fn say(&self, number: usize) -> Result<Ack> {
        let name = ClientId::new(number.to_string()).unwrap();
        let request = SendRequest::new(self.conversation, name, "hello");
        self.alice.send(request).await
    }

    /// The number of the next message that Bob is told of.
    pub(crate) async fn hear(&mut self) -> usize {
        loop {
            let event = self.bob.next().await.unwrap();
            if let EventBody::Entry(entry) = event.body()
                && entry.body.is_message()
            {
                return entry.client_id.as_str().parse().unwrap();
            }
        }
    }
}
