//! A cache that loses its memory while much waits for the store: all of it gets new positions.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyStore, Port, Trouble};
use darda_core::memory::MemoryCache;
use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use darda_core::ports::{Admission, Append, Appended, EventBody, Range};
use darda_core::{Ack, Chat, Options, Ports, SendRequest, Session};
use tokio::time::{Instant, sleep};

const SENDS: usize = 600;
/// Of each call. One call for each entry would take a minute.
const DELAY: Duration = Duration::from_millis(100);
const ENOUGH: Duration = Duration::from_secs(30);

/// A conversation whose store hangs.
struct Scene {
    ports: Ports,
    cache: Arc<MemoryCache>,
    faults: Faults,
    alice: Session,
    bob: Session,
    conversation: ConversationId,
    _chat: Chat,
}

impl Scene {
    async fn open() -> Self {
        let faults = Faults::new(1);
        let cache = Arc::new(MemoryCache::new());
        let mut ports = Ports::in_memory();
        ports.cache = cache.clone();
        let mut faulty = ports.clone();
        faulty.store = Arc::new(FaultyStore::new(ports.store.clone(), faults.clone()));
        let chat = Chat::start(faulty, Options::default().without_rate_limits());
        let alice = chat.connect(UserId::new("alice").unwrap()).await.unwrap();
        let bob = chat.connect(UserId::new("bob").unwrap()).await.unwrap();
        let bob_himself = UserId::new("bob").unwrap();
        let conversation = alice.open_direct(bob_himself).await.unwrap();
        faults.set(Port::Store, Trouble::none().with_hanging());
        Self {
            ports,
            cache,
            faults,
            alice,
            bob,
            conversation,
            _chat: chat,
        }
    }

    async fn say(&self, name: &str) -> Ack {
        let name = ClientId::new(name).unwrap();
        let send = SendRequest::new(self.conversation, name, "hello");
        self.alice.send(send).await.unwrap()
    }

    async fn send(&self, count: usize) -> Vec<Ack> {
        let mut acked: Vec<Ack> = Vec::new();
        for number in 0..count {
            acked.push(self.say(&format!("{number} of {count}")).await);
        }
        acked
    }

    async fn until_written(&self) {
        let start = Instant::now();
        while self.ports.broker.backlog().await.unwrap() > 0 {
            assert!(start.elapsed() < ENOUGH, "the writer does not come to rest");
            sleep(Duration::from_millis(500)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_cache_that_forgot_it_is_not_stored_one_by_one() {
    let scene = Scene::open().await;
    let acked = scene.send(SENDS).await;
    scene.cache.lose_memory();
    let slow = Trouble::none().with_delay(DELAY..=DELAY);
    scene.faults.set(Port::Store, slow);
    scene.until_written().await;

    let store = &scene.ports.store;
    let page = store.page(scene.conversation, Range::OLDEST, 2 * SENDS);
    let stored = page.await.unwrap();
    let newest = acked.iter().map(|ack| ack.position).max();
    assert!(stored.iter().all(|entry| Some(entry.position) > newest));
    let order = |ids: &mut dyn Iterator<Item = _>| ids.collect::<Vec<_>>();
    assert_eq!(
        order(&mut stored.iter().map(|entry| entry.id)),
        order(&mut acked.iter().map(|ack| ack.id))
    );
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_comes_again_long_after_it_was_moved_is_no_burden() {
    let scene = Scene::open().await;
    let first = scene.send(1).await;
    let found = scene
        .ports
        .cache
        .find(scene.conversation, first[0].id)
        .await;
    let found = found.unwrap().unwrap();
    scene.cache.lose_memory();
    scene.faults.heal(Port::Store);
    scene.until_written().await;
    // The cache's window is past it, and remembers only that it was there.
    scene.send(SENDS).await;
    scene.until_written().await;
    scene.ports.broker.enqueue(vec![found]).await.unwrap();
    scene.until_written().await;
    let store = &scene.ports.store;
    let page = store.page(scene.conversation, Range::OLDEST, 2 * SENDS);
    assert_eq!(page.await.unwrap().len(), 1 + SENDS);
}

#[tokio::test(start_paused = true)]
async fn of_two_copies_in_one_batch_the_one_that_stands_is_not_withdrawn() {
    two_copies(|first, second| vec![first, second]).await;
    two_copies(|first, second| vec![second, first]).await;
}

async fn two_copies(order: impl Fn(Arc<Entry>, Arc<Entry>) -> Vec<Arc<Entry>>) {
    let scene = Scene::open().await;
    let early = scene.say("early").await;
    let early = scene.ports.cache.find(scene.conversation, early.id).await;
    let early = early.unwrap().unwrap();
    scene.cache.lose_memory();
    scene.faults.heal(Port::Store);
    // By this one the writer learns that the cache has lost its memory.
    scene.until_written().await;
    let name = ClientId::new("twice").unwrap();
    let first = Arc::new(Entry {
        id: EntryId::derive(scene.conversation, &early.sender, &name),
        client_id: name,
        position: Position(early.position.0 + 1),
        ..(*early).clone()
    });
    let again = Append {
        conversation: scene.conversation,
        id: first.id,
        sender: first.sender.clone(),
        client_id: first.client_id.clone(),
        body: first.body.clone(),
        admission: Admission::Checked {
            epoch: Epoch(0),
            fresh: true,
        },
    };
    let Appended::New(second) = scene.ports.cache.append(again).await.unwrap() else {
        panic!("the cache remembers what it lost");
    };
    // Another writer stored it before the loss, and died before it said so.
    let ports = &scene.ports;
    ports.store.insert(vec![first.clone()]).await.unwrap();
    let both = order(first.clone(), second);
    ports.broker.enqueue(both).await.unwrap();
    scene.until_written().await;

    let mut events = Vec::new();
    scene.bob.events(&mut events).await;
    let withdrawn: Vec<_> = events
        .iter()
        .filter_map(|event| match event.body() {
            EventBody::Withdrawn { position, .. } => Some(*position),
            _ => None,
        })
        .collect();
    assert!(!withdrawn.is_empty());
    let store = &scene.ports.store;
    let standing = store.find(scene.conversation, first.id).await.unwrap();
    let standing = standing.unwrap().position;
    assert!(
        !withdrawn.contains(&standing),
        "{withdrawn:?}, {standing:?}"
    );
}
