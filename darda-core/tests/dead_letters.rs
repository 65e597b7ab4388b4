//! What the store refuses for good goes to the dead letters, once, and is taken back from everybody who saw
//! it.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use darda_core::faults::{Faults, FaultyBroker, Port, Trouble};
use darda_core::memory::{MemoryBroker, MemoryStore};
use darda_core::model::{
    ClientId, ConversationId, Entry, EntryId, HistoryStart, Marks, Members, MembersDelta, Position,
    UserId,
};
use darda_core::ports::{
    Commit, EventBody, Head, Inserted, MarkUpdate, Membership, Range, Relocated, Store,
};
use darda_core::{
    Ack, Chat, Error, ErrorKind, Options, Ports, Result, Roles, SendRequest, Session,
};
use futures::FutureExt;
use tokio::time::{sleep, timeout};

/// What the store refuses is called that.
const POISON: &str = "poison";

/// A store that refuses batches with a certain message in them.
#[derive(Debug)]
struct Refusing {
    inner: MemoryStore,
}

impl Refusing {
    fn check(&self, entries: &[Arc<Entry>]) -> Result<()> {
        if entries.iter().any(|it| it.client_id.as_str() == POISON) {
            return Err(Error::new(
                ErrorKind::Internal,
                "the store refuses an entry",
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Refusing {
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>> {
        self.check(&entries)?;
        self.inner.insert(entries).await
    }

    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated> {
        self.inner.relocate(entry).await
    }

    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        self.inner.page(conversation, range, limit).await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.inner.find(conversation, id).await
    }

    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()> {
        self.inner.open_direct(a, b).await
    }

    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        self.inner.members(conversation).await
    }

    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        self.inner.commit_members(delta, entry).await
    }

    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.inner.unlogged(conversation).await
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.inner.memberships(user).await
    }

    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        self.inner.mark(updates).await
    }

    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.inner.marks(conversation).await
    }

    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        self.inner.set_heads(heads).await
    }

    async fn block(&self, user: UserId, other: UserId) -> Result<()> {
        self.inner.block(user, other).await
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<()> {
        self.inner.unblock(user, other).await
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>> {
        self.inner.blocks(user).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool> {
        self.inner.blocked_between(a, b).await
    }
}

struct Scene {
    ports: Ports,
    broker: Arc<MemoryBroker>,
    alice: Session,
    bob: Session,
    carol: Session,
    group: ConversationId,
    _gateway: Chat,
}

impl Scene {
    /// A group of Alice and Bob, and nobody who writes.
    async fn open() -> Self {
        let user = |name: &str| UserId::new(name).unwrap();
        let broker = Arc::new(MemoryBroker::new());
        let mut ports = Ports::in_memory();
        ports.broker = broker.clone();
        ports.store = Arc::new(Refusing {
            inner: MemoryStore::new(),
        });
        let options = Options::default().with_roles(Roles::Gateway);
        let gateway = Chat::start(ports.clone(), options);
        let alice = gateway.connect(user("alice")).await.unwrap();
        let bob = gateway.connect(user("bob")).await.unwrap();
        let carol = gateway.connect(user("carol")).await.unwrap();
        let (name, title) = (ClientId::new("group").unwrap(), "group".to_owned());
        let history = HistoryStart::Beginning;
        let made = alice.create_group(name, title, vec![user("bob")], history);
        let (group, _) = made.await.unwrap();
        Self {
            ports,
            broker,
            alice,
            bob,
            carol,
            group,
            _gateway: gateway,
        }
    }

    async fn say(&self, name: &str) -> Ack {
        let name = ClientId::new(name).unwrap();
        let send = SendRequest::new(self.group, name, "hello");
        self.alice.send(send).await.unwrap()
    }

    fn dead(&self) -> Vec<EntryId> {
        let dead = self.broker.dead_letters();
        dead.iter().map(|entry| entry.id).collect()
    }
}

fn writer(ports: Ports) -> Chat {
    Chat::start(ports, Options::default().with_roles(Roles::Writer))
}

/// What a session was told to take out.
fn withdrawn(session: &Session) -> Vec<(EntryId, Position, Option<Position>)> {
    let mut events = Vec::new();
    session.events(&mut events).now_or_never();
    let withdrawn = events.iter().filter_map(|event| match event.body() {
        EventBody::Withdrawn {
            id,
            position,
            stands,
            ..
        } => Some((*id, *position, *stands)),
        _ => None,
    });
    withdrawn.collect()
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_can_never_be_stored_is_taken_back_once() {
    let scene = Scene::open().await;
    let before = scene.say("before").await;
    let poison = scene.say(POISON).await;
    let after = scene.say("after").await;
    let _writer = writer(scene.ports.clone());
    // Long enough for entries to be handed over again many times.
    sleep(Duration::from_secs(600)).await;

    assert_eq!(scene.ports.cache.outbox_len().await.unwrap(), 0);
    assert_eq!(scene.dead(), [poison.id]);
    let told = [(poison.id, poison.position, None)];
    assert_eq!(withdrawn(&scene.alice), told);
    assert_eq!(withdrawn(&scene.bob), told);
    assert_eq!(withdrawn(&scene.carol), []);
    let page = scene.bob.history(scene.group, Range::OLDEST, 10).await;
    let page = page.unwrap().entries;
    let said: Vec<_> = page.iter().skip(1).map(|entry| entry.id).collect();
    assert_eq!(said, [before.id, after.id]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_dies_before_the_broker_has_its_verdict_loses_no_dead_letter() {
    let scene = Scene::open().await;
    let poison = scene.say(POISON).await;
    let faults = Faults::new(1);
    let mut slow = scene.ports.clone();
    slow.broker = Arc::new(FaultyBroker::new(slow.broker.clone(), faults.clone()));
    let second = Duration::from_secs(1);
    faults.set(Port::Broker, Trouble::none().with_delay(second..=second));
    let first = writer(slow);
    let taken_back = async {
        while scene.ports.cache.outbox_len().await.unwrap() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), taken_back).await.unwrap();
    first.kill();
    assert_eq!(scene.dead(), []);

    let _second = writer(scene.ports.clone());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.dead(), [poison.id]);
    assert_eq!(scene.ports.cache.outbox_len().await.unwrap(), 0);
}
