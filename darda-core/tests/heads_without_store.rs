//! A store that is away keeps nobody from the heads that the cache knows.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyBroker, FaultyStore, Port, Trouble};
use darda_core::model::{ClientId, Position, UserId};
use darda_core::ports::EventBody;
use darda_core::{Chat, Options, Ports, Roles, SendRequest, Session};
use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout, timeout_at};

const EVERY: Duration = Duration::from_secs(2);

/// Bob's node lost the event of Alice's message, and then the store.
struct Scene {
    bob: Session,
    said: Position,
    _alice: Session,
    _chats: [Chat; 2],
}

impl Scene {
    async fn open() -> Self {
        let faults = Faults::new(1);
        let ports = Ports::in_memory();
        let mut faulty = ports.clone();
        faulty.store = Arc::new(FaultyStore::new(ports.store.clone(), faults.clone()));
        faulty.broker = Arc::new(FaultyBroker::new(ports.broker.clone(), faults.clone()));
        let here = Chat::start(ports, Options::default());
        let options = Options::default()
            .with_roles(Roles::Gateway)
            .with_heads_every(EVERY);
        let there = Chat::start(faulty, options);
        let alice = here.connect(UserId::new("alice").unwrap()).await.unwrap();
        let bob = UserId::new("bob").unwrap();
        let conversation = alice.open_direct(bob.clone()).await.unwrap();
        let bob = there.connect(bob).await.unwrap();
        // Past the heads that a new session is told.
        sleep(EVERY).await;
        faults.set(Port::Store, Trouble::none().with_failures_before(1.0));
        faults.set(Port::Broker, Trouble::none().with_lost_events(1.0));
        let name = ClientId::new("lost").unwrap();
        let send = SendRequest::new(conversation, name, "hello");
        let said = alice.send(send).await.unwrap().position;
        sleep(Duration::from_millis(100)).await;
        faults.heal(Port::Broker);
        Self {
            bob,
            said,
            _alice: alice,
            _chats: [here, there],
        }
    }

    /// Waits for the next heads, which are those of what was lost.
    async fn heads(&mut self) {
        loop {
            let event = self.bob.next().await.unwrap();
            if let EventBody::Heads { heads } = event.body()
                && heads.iter().any(|(_, head)| *head == self.said)
            {
                return;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_missed_an_event_is_told_the_head_while_the_store_is_away() {
    let mut scene = Scene::open().await;
    let told = timeout(Duration::from_secs(10), scene.heads()).await;
    told.unwrap();
}

#[tokio::test(start_paused = true)]
async fn heads_are_told_no_more_often_for_it() {
    let mut scene = Scene::open().await;
    let until = Instant::now() + 20 * EVERY;
    let mut told = 0;
    while timeout_at(until, scene.heads()).await.is_ok() {
        told += 1;
    }
    assert!((10..=30).contains(&told), "{told}");
}
