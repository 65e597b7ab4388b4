//! Entries to hand over.

#![allow(clippy::unwrap_used, reason = "a part of tests")]
#![allow(dead_code, reason = "each test uses its part")]

use std::sync::Arc;

use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use darda_core::ports::Delivery;

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
