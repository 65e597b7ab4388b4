//! Whether two users block each other is asked of the store, and nobody who writes on and on waits for it.

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyStore, Port, Trouble};
use darda_core::model::{ClientId, UserId};
use darda_core::{Chat, ErrorKind, Options, Ports, SendRequest};
use tokio::time::{Instant, sleep};

/// What each of the store's calls takes.
const EACH: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn a_direct_conversation_goes_on_while_its_blocks_are_asked_for_again() {
    let faults = Faults::new(1);
    let mut ports = Ports::in_memory();
    ports.store = Arc::new(FaultyStore::new(ports.store, faults.clone()));
    let store = ports.store.clone();
    let chat = Chat::start(ports, Options::default());
    let user = |name: &str| UserId::new(name).unwrap();
    let alice = chat.connect(user("alice")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    let say = async |number: usize| {
        let name = ClientId::new(number.to_string()).unwrap();
        let asked = Instant::now();
        let said = alice.send(SendRequest::new(conversation, name, "hello"));
        said.await.map(|_| asked.elapsed())
    };
    // What is known before a node hears of others is doubted.
    sleep(Duration::from_secs(1)).await;
    say(0).await.unwrap();
    faults.set(Port::Store, Trouble::none().with_delay(EACH..=EACH));
    for number in 1..=15 {
        sleep(Duration::from_secs(2)).await;
        assert!(say(number).await.unwrap() < EACH, "send {number} waited");
    }
    // No node tells this one of it.
    store.block(user("bob"), user("alice")).await.unwrap();
    let mut went_through = 0;
    let refused = loop {
        sleep(Duration::from_secs(2)).await;
        match say(100 + went_through).await {
            Ok(_) => went_through += 1,
            Err(error) => break error,
        }
        assert!(went_through <= 3, "blocked for more than six seconds");
    };
    assert_eq!(refused.kind(), ErrorKind::Blocked);
    store.unblock(user("bob"), user("alice")).await.unwrap();
    // After a pause that is too long, nothing is said before it is known.
    sleep(Duration::from_secs(61)).await;
    assert!(say(200).await.unwrap() >= EACH);
    // A store that says nothing keeps nobody for long.
    sleep(Duration::from_secs(61)).await;
    faults.set(Port::Store, Trouble::none().with_hanging());
    assert!(say(201).await.unwrap() < Duration::from_secs(2));
    assert!(say(202).await.unwrap() < EACH);
}
