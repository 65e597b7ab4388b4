//! What tests need of the model.

use crate::model::{Body, ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};

/// The first entry of its log, as far as is known here. Its sender and its client id are its position.
pub(crate) fn entry(conversation: ConversationId, position: u64, body: Body) -> Entry {
    let sender = UserId::new(position.to_string()).unwrap();
    let client_id = ClientId::new(position.to_string()).unwrap();
    Entry {
        conversation,
        position: Position(position),
        prev: None,
        epoch: Epoch(0),
        id: EntryId::derive(conversation, &sender, &client_id),
        sender,
        client_id,
        body,
        incarnation: 1,
        relocated: false,
    }
}
