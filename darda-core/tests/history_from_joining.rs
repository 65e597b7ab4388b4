//! Who sees a group's history from joining on is not led to what is before it, nor told that there is any.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyStore, Port, Trouble};
use darda_core::memory::MemoryCache;
use darda_core::model::{ClientId, ConversationId, HistoryStart, MemberChange, Position, UserId};
use darda_core::ports::Range;
use darda_core::{Chat, Options, Page, Ports, Roles, SendRequest, Session};
use tokio::time::sleep;

const HIDDEN: usize = 150;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client_id(name: impl ToString) -> ClientId {
    ClientId::new(name.to_string()).unwrap()
}

/// A group that Dave was brought into after so many messages.
struct Scene {
    ports: Ports,
    cache: Arc<MemoryCache>,
    of_writer: Faults,
    alice: Session,
    dave: Session,
    group: ConversationId,
    joined: Position,
    _chats: [Chat; 2],
}

impl Scene {
    async fn open() -> Self {
        let of_writer = Faults::new(1);
        let cache = Arc::new(MemoryCache::new());
        let mut ports = Ports::in_memory();
        ports.cache = cache.clone();
        let mut faulty = ports.clone();
        faulty.store = Arc::new(FaultyStore::new(ports.store.clone(), of_writer.clone()));
        let options = |roles| Options::default().without_rate_limits().with_roles(roles);
        let writer = Chat::start(faulty, options(Roles::Writer));
        let chat = Chat::start(ports.clone(), options(Roles::Gateway));
        let alice = chat.connect(user("alice")).await.unwrap();
        let dave = chat.connect(user("dave")).await.unwrap();
        let title = "group".to_owned();
        let made = alice.create_group(client_id("group"), title, Vec::new(), HistoryStart::Joining);
        let (group, _) = made.await.unwrap();
        let mut scene = Self {
            ports,
            cache,
            of_writer,
            alice,
            dave,
            group,
            joined: Position(0),
            _chats: [writer, chat],
        };
        for number in 0..HIDDEN {
            scene.say(number).await;
        }
        scene.until_stored().await;
        scene
            .of_writer
            .set(Port::Store, Trouble::none().with_hanging());
        let change = MemberChange::Add {
            users: vec![user("dave")],
        };
        let added = scene.alice.change_members(group, client_id("add"), change);
        scene.joined = added.await.unwrap().position;
        scene
    }

    async fn say(&self, name: impl ToString) -> Position {
        let send = SendRequest::new(self.group, client_id(name), "hello");
        self.alice.send(send).await.unwrap().position
    }

    async fn until_stored(&self) {
        self.of_writer.heal(Port::Store);
        while self.ports.broker.backlog().await.unwrap() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn page(&self, range: Range, limit: usize) -> Page {
        self.dave.history(self.group, range, limit).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn before_joining_there_is_nothing_more() {
    let scene = Scene::open().await;
    scene.until_stored().await;
    let page = scene.page(Range::Before(scene.joined), 100).await;
    assert!(page.entries.is_empty());
    assert!(!page.more);
    let page = scene.page(Range::NEWEST, 1).await;
    assert_eq!(page.entries[0].position, scene.joined);
    assert!(!page.more);
}

#[tokio::test(start_paused = true)]
async fn history_ends_at_a_joining_that_was_moved() {
    let scene = Scene::open().await;
    scene.cache.lose_memory();
    scene.until_stored().await;
    let said = scene.say("last").await;
    for stored in [false, true] {
        if stored {
            scene.until_stored().await;
        }
        for limit in [2, 100] {
            let page = scene.page(Range::NEWEST, limit).await;
            let [moved, last] = &page.entries[..] else {
                panic!("{page:?}");
            };
            assert!(moved.position > scene.joined);
            assert_eq!(last.position, said);
            assert!(!page.more);
        }
        let page = scene.page(Range::NEWEST, 1).await;
        assert!(page.more);
    }
}
