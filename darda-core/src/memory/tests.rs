//! What the conformance cases cannot see: bounds, forgetting, and the tests' own controls.

mod broker;
mod cache;
mod registry;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Clock;
use crate::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use crate::ports::{Admission, Append};

/// A clock that stands still until it is set.
#[derive(Debug)]
struct StoppedClock(AtomicU64);

impl StoppedClock {
    fn at(now_us: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now_us)))
    }

    fn set(&self, now_us: u64) {
        self.0.store(now_us, Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A conversation of this shard.
fn conversation(shard: u8, number: u8) -> ConversationId {
    let mut bytes = [number; 16];
    bytes[0] = shard;
    ConversationId::from_bytes(bytes)
}

fn append(conversation: ConversationId, client: impl ToString, fresh: bool) -> Append {
    let client_id = ClientId::new(client.to_string()).unwrap();
    let sender = user("sender");
    Append {
        conversation,
        id: EntryId::derive(conversation, &sender, &client_id),
        sender,
        client_id,
        body: "text".into(),
        admission: Admission::Checked {
            epoch: Epoch(0),
            fresh,
        },
    }
}

fn entry(number: u64) -> Arc<Entry> {
    let Append {
        conversation,
        id,
        sender,
        client_id,
        body,
        ..
    } = append(conversation(0, 1), number, true);
    let position = Position(number);
    let (prev, epoch, incarnation) = (None, Epoch(0), 1);
    Arc::new(Entry {
        conversation,
        position,
        prev,
        epoch,
        id,
        sender,
        client_id,
        body,
        incarnation,
        relocated: false,
    })
}
