//! A session that comes back to a node which does not know its conversations.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;

use darda_core::faults::{Faults, FaultyStore, Port, Trouble};
use darda_core::model::{ClientId, UserId};
use darda_core::{CatchUp, Chat, Options, Ports, SendRequest};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_a_direct_conversation_need_the_store_only_for_the_list() {
    let faults = Faults::new(1);
    let ports = Ports::in_memory();
    let there = Chat::start(ports.clone(), Options::default());
    let alice = there.connect(user("alice")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    let mut acked = Vec::new();
    for name in ["held", "missed"] {
        let name = ClientId::new(name).unwrap();
        let send = SendRequest::new(conversation, name, "hello");
        acked.push(alice.send(send).await.unwrap());
    }

    let mut faulty = ports;
    faulty.store = Arc::new(FaultyStore::new(faulty.store.clone(), faults.clone()));
    let here = Chat::start(faulty, Options::default());
    let bob = here.connect(user("bob")).await.unwrap();
    faults.set(Port::Store, Trouble::none().with_hanging());
    let resumed = bob.resume(vec![(conversation, acked[0].position)]).await;
    let (_, attached) = resumed.unwrap().remove(0);
    let attached = attached.unwrap();
    assert_eq!(attached.catch_up, CatchUp::Complete);
    assert_eq!(attached.entries.len(), 1);
    assert_eq!(attached.entries[0].id, acked[1].id);
}
