//! The server, entries to hand over, and a live event.

#![allow(clippy::unwrap_used, reason = "a part of tests")]
#![allow(dead_code, reason = "each test uses its part")]

use std::sync::Arc;

use darda_backends::{StartError, or_skip};
use darda_core::model::{
    ClientId, ConversationId, Entry, EntryId, Epoch, NodeId, Position, UserId,
};
use darda_core::ports::{Audience, Delivery, EventBody, LiveEvent, Publication, Route};

const VARIABLE: &str = "DARDA_TEST_AMQP_URL";

/// `None` where there is no server, said loudly.
pub(crate) fn url() -> Option<String> {
    let missing = || StartError::Missing(format!("{VARIABLE} is not set; `make test` starts one"));
    or_skip(std::env::var(VARIABLE).map_err(|_| missing()))
}

/// Something for a node.
pub(crate) fn joined(node: &str) -> Publication {
    let user = UserId::new("alice").unwrap();
    let conversation = ConversationId::direct(&user, &user);
    Publication {
        route: Route::Nodes([NodeId::new(node)].into()),
        event: LiveEvent {
            audience: Audience::Users(vec![user]),
            origin: None,
            event: EventBody::Joined { conversation }.into(),
        },
    }
}

/// An entry of one conversation.
pub(crate) fn entry(position: u64, text: &str) -> Arc<Entry> {
    let conversation = ConversationId::from_bytes([7; 16]);
    let sender = UserId::new("alice").unwrap();
    let client_id = ClientId::new(position.to_string()).unwrap();
    Arc::new(Entry {
        conversation,
        position: Position(position),
        prev: None,
        epoch: Epoch(0),
        id: EntryId::derive(conversation, &sender, &client_id),
        sender,
        client_id,
        body: text.into(),
        incarnation: 1,
        relocated: false,
    })
}

/// Entries at positions from 1 on.
pub(crate) fn entries(count: u64) -> Vec<Arc<Entry>> {
    (1..=count)
        .map(|position| entry(position, "text"))
        .collect()
}

pub(crate) fn positions(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|it| it.entry.position.0).collect()
}
