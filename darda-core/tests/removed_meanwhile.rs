//! Who is taken out of a group while an answer is being read gets none.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyCache, FaultyRegistry, FaultyStore, Port, Trouble};
use darda_core::model::{ClientId, ConversationId, HistoryStart, MemberChange, Position, UserId};
use darda_core::ports::EventBody;
use darda_core::{Chat, ErrorKind, Options, Ports, SendRequest, Session};
use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout_at};

/// What a slow port takes before a call has its effect, and after.
const SLOW: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_secs(10);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client_id(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

/// Bob is in a group, on a node of his own with slow ports.
struct Scene {
    faults: Faults,
    alice: Session,
    bob: Session,
    group: ConversationId,
    chats: [Chat; 2],
}

impl Scene {
    async fn open() -> Self {
        let faults = Faults::new(1);
        let ports = Ports::in_memory();
        let mut slow = ports.clone();
        slow.store = Arc::new(FaultyStore::new(slow.store.clone(), faults.clone()));
        slow.cache = Arc::new(FaultyCache::new(slow.cache.clone(), faults.clone()));
        slow.registry = Arc::new(FaultyRegistry::new(slow.registry.clone(), faults.clone()));
        let here = Chat::start(ports, Options::default());
        let there = Chat::start(slow, Options::default().with_heads_every(EVERY));
        let alice = here.connect(user("alice")).await.unwrap();
        let made = alice.create_group(
            client_id("group"),
            "group".to_owned(),
            vec![user("bob")],
            HistoryStart::Beginning,
        );
        let (group, _) = made.await.unwrap();
        let bob = there.connect(user("bob")).await.unwrap();
        Self {
            faults,
            alice,
            bob,
            group,
            chats: [here, there],
        }
    }

    fn slow(&self, port: Port) {
        self.faults
            .set(port, Trouble::none().with_delay(SLOW..=SLOW));
    }

    /// Takes Bob out, and says something that he is not to know of.
    async fn remove_bob(&self, after: Duration) -> Position {
        sleep(after).await;
        let change = MemberChange::Remove { user: user("bob") };
        let removed = self
            .alice
            .change_members(self.group, client_id("out"), change);
        removed.await.unwrap();
        let send = SendRequest::new(self.group, client_id("secret"), "hello");
        self.alice.send(send).await.unwrap().position
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_are_not_told() {
    let scene = Scene::open().await;
    scene.slow(Port::Store);
    let read = scene.bob.receipts(scene.group);
    let (receipts, _) = tokio::join!(read, scene.remove_bob(SLOW * 5 / 2));
    assert_eq!(receipts.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn receipts_are_not_told_to_who_is_not_connected_either() {
    let scene = Scene::open().await;
    scene.slow(Port::Store);
    let visit = scene.chats[1].visit(user("bob")).unwrap();
    let read = visit.receipts(scene.group);
    let (receipts, _) = tokio::join!(read, scene.remove_bob(SLOW * 5 / 2));
    assert_eq!(receipts.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn presence_is_not_told() {
    let scene = Scene::open().await;
    scene.slow(Port::Registry);
    let read = scene.bob.presence(scene.group);
    let (presence, _) = tokio::join!(read, scene.remove_bob(SLOW / 2));
    assert_eq!(presence.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_list_does_not_tell_the_head() {
    let scene = Scene::open().await;
    scene.slow(Port::Cache);
    let read = scene.bob.conversations(None, 10);
    let (list, secret) = tokio::join!(read, scene.remove_bob(SLOW / 2));
    let told = list.unwrap();
    assert!(told.iter().all(|summary| summary.head < Some(secret)));
}

#[tokio::test(start_paused = true)]
async fn no_heads_are_told() {
    // The lists of a session are due at a moment of its own: one of these is under way then.
    for tenth in 0..50 {
        let mut scene = Scene::open().await;
        sleep(EVERY * 3 / 4).await;
        scene.slow(Port::Cache);
        let secret = scene.remove_bob(Duration::from_millis(100) * tenth).await;
        let until = Instant::now() + EVERY;
        while let Ok(Some(event)) = timeout_at(until, scene.bob.next()).await {
            if let EventBody::Heads { heads } = event.body() {
                assert!(heads.iter().all(|(_, head)| *head < secret), "{tenth}");
            }
        }
    }
}
