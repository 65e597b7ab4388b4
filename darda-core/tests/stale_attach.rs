//! The store may have an entry before it has what was appended before it. While the cache is away nobody is
//! told that nothing is missing there.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyCache, Port, Trouble};
use darda_core::model::{ClientId, ConversationId, EntryId, Epoch, Position, UserId};
use darda_core::ports::{Admission, Append, Appended, EventBody, Range};
use darda_core::{Attached, CatchUp, Chat, ErrorKind, Options, Ports, SendRequest, Session};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client_id(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

struct Scene {
    ports: Ports,
    faults: Faults,
    alice: Session,
    bob: Session,
    conversation: ConversationId,
    _chat: Chat,
}

impl Scene {
    async fn open() -> Self {
        let faults = Faults::new(1);
        let ports = Ports::in_memory();
        let mut faulty = ports.clone();
        faulty.cache = Arc::new(FaultyCache::new(ports.cache.clone(), faults.clone()));
        let chat = Chat::start(faulty, Options::default());
        let alice = chat.connect(user("alice")).await.unwrap();
        let bob = chat.connect(user("bob")).await.unwrap();
        let conversation = alice.open_direct(user("bob")).await.unwrap();
        Self {
            ports,
            faults,
            alice,
            bob,
            conversation,
            _chat: chat,
        }
    }

    async fn stored(&self, name: &str) -> Position {
        let send = SendRequest::new(self.conversation, client_id(name), "hello");
        let ack = self.alice.send(send).await.unwrap();
        let store = &self.ports.store;
        let stored = async || store.find(self.conversation, ack.id).await.unwrap();
        while stored().await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        ack.position
    }

    /// An entry whose node died before the broker had it.
    async fn left_in_the_outbox(&self, name: &str) -> Position {
        let (sender, client_id) = (user("alice"), client_id(name));
        let append = Append {
            conversation: self.conversation,
            id: EntryId::derive(self.conversation, &sender, &client_id),
            sender,
            client_id,
            body: "hello".into(),
            admission: Admission::Checked {
                epoch: Epoch(0),
                fresh: true,
            },
        };
        let Appended::New(entry) = self.ports.cache.append(append).await.unwrap() else {
            panic!("appended before");
        };
        entry.position
    }

    fn cache_fails(&self) {
        self.faults
            .set(Port::Cache, Trouble::none().with_failures_before(1.0));
    }

    async fn attach(&self, cursor: Option<Position>) -> Attached {
        let attached = self.bob.attach(self.conversation, cursor).await.unwrap();
        assert!(attached.stale);
        attached
    }

    async fn bob_hears(&mut self, position: Position) {
        let heard = async {
            while let Some(event) = self.bob.next().await {
                if let EventBody::Entry(entry) = event.body()
                    && entry.position == position
                {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(60), heard).await.unwrap();
    }
}

fn positions(attached: &Attached) -> Vec<Position> {
    let entries = attached.entries.iter();
    entries.map(|entry| entry.position).collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_have_yet_comes_after_the_gap() {
    let mut scene = Scene::open().await;
    let first = scene.stored("first").await;
    let held = scene.stored("held").await;
    let late = scene.left_in_the_outbox("late").await;
    let last = scene.stored("last").await;
    scene.cache_fails();
    for cursor in [Some(held), Some(first)] {
        let attached = scene.attach(cursor).await;
        let gap = CatchUp::Gap {
            after: held,
            before: None,
        };
        assert_eq!(attached.catch_up, gap);
        assert!(attached.entries.iter().all(|entry| entry.position < late));
    }
    scene.faults.heal_all();
    scene.bob_hears(late).await;
    let attached = scene.bob.attach(scene.conversation, Some(held)).await;
    let attached = attached.unwrap();
    assert_eq!(attached.catch_up, CatchUp::Complete);
    assert_eq!(positions(&attached), [late, last]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_end_before_what_the_store_does_not_have_yet() {
    let mut scene = Scene::open().await;
    let first = scene.stored("first").await;
    let late = scene.left_in_the_outbox("late").await;
    let last = scene.stored("last").await;
    scene.cache_fails();
    let attached = scene.attach(None).await;
    let gap = CatchUp::Gap {
        after: first,
        before: None,
    };
    assert_eq!(attached.catch_up, gap);
    assert_eq!(positions(&attached), [first]);
    assert_eq!(attached.head, Some(last));
    scene.faults.heal_all();
    scene.bob_hears(late).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_whose_first_entry_is_not_stored_yet_has_no_beginning() {
    let mut scene = Scene::open().await;
    let late = scene.left_in_the_outbox("late").await;
    scene.stored("last").await;
    scene.cache_fails();
    for cursor in [None, Some(Position(0))] {
        let attached = scene.attach(cursor).await;
        let gap = CatchUp::Gap {
            after: Position(0),
            before: None,
        };
        assert_eq!(attached.catch_up, gap);
        assert!(attached.entries.is_empty());
    }
    scene.faults.heal_all();
    scene.bob_hears(late).await;
}

#[tokio::test(start_paused = true)]
async fn history_goes_on_up_to_what_the_store_does_not_have_yet() {
    let scene = Scene::open().await;
    let first = scene.stored("first").await;
    scene.left_in_the_outbox("late").await;
    scene.stored("last").await;
    scene.cache_fails();
    let page = |range| scene.bob.history(scene.conversation, range, 10);
    let begins = page(Range::OLDEST).await.unwrap();
    assert_eq!(begins.entries.len(), 1);
    assert!(begins.stale && begins.more);
    let refused = page(Range::After(first)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let newest = page(Range::NEWEST).await.unwrap();
    assert_eq!(newest.entries, begins.entries);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_the_store_has_as_a_whole_is_read_as_a_whole() {
    let scene = Scene::open().await;
    let mut said = Vec::new();
    for name in ["first", "second", "third"] {
        said.push(scene.stored(name).await);
    }
    scene.cache_fails();
    let attached = scene.attach(None).await;
    assert_eq!(attached.catch_up, CatchUp::Complete);
    assert_eq!(positions(&attached), said);
    for cursor in [Position(0), said[0]] {
        let attached = scene.attach(Some(cursor)).await;
        let gap = CatchUp::Gap {
            after: said[2],
            before: None,
        };
        assert_eq!(attached.catch_up, gap);
    }
    let page = scene.bob.history(scene.conversation, Range::OLDEST, 2);
    let page = page.await.unwrap();
    assert!(page.more && page.entries.len() == 2);
}
