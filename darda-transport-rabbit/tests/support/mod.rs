//! Entries to hand over.

#![allow(clippy::unwrap_used, reason = "a part of tests")]

use std::sync::Arc;

use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use darda_core::ports::Delivery;

/// Entries of one conversation, at positions from 1 on.
pub(crate) fn entries(count: u64) -> Vec<Arc<Entry>> {
    let (sender, conversation) = (
        UserId::new("alice").unwrap(),
        ConversationId::from_bytes([7; 16]),
    );
    let entry = |position: u64| {
        let client_id = ClientId::new(position.to_string()).unwrap();
        Arc::new(Entry {
            conversation,
            position: Position(position),
            prev: None,
            epoch: Epoch(0),
            id: EntryId::derive(conversation, &sender, &client_id),
            sender: sender.clone(),
            client_id,
            body: "text".into(),
            incarnation: 1,
            relocated: false,
        })
    };
    (1..=count).map(entry).collect()
}

pub(crate) fn positions(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|it| it.entry.position.0).collect()
}
