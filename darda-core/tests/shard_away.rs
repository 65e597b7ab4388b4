//! A cache of several servers, one of which is away: what the others hold is written meanwhile.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use darda_core::memory::{MemoryBroker, MemoryCache};
use darda_core::model::{
    ClientId, ConversationId, Entry, EntryId, Epoch, HistoryStart, Position, UserId,
};

use darda_core::ports::{Append, Appended, Broker, Cache, Head, Range, Recent, Settled};
use darda_core::{
    Ack, Chat, Error, ErrorKind, Options, Ports, Result, Roles, SendRequest, Session,
};
use parking_lot::Mutex;
use tokio::time::sleep;

/// What calls must not contain.
#[derive(Debug, Clone, Copy)]
enum Refused {
    Shard(u16),
    Entry(EntryId),
}

impl Refused {
    fn is(self, entry: &Entry) -> bool {
        match self {
            Self::Shard(shard) => entry.conversation.shard() == shard,
            Self::Entry(id) => entry.id == id,
        }
    }
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    refused: Refused,
    lost: bool,
    settle: bool,
    kind: ErrorKind,
}

/// A cache whose calls for many entries fail as a whole, as those over several servers do.
#[derive(Debug)]
struct Troubled {
    inner: MemoryCache,
    trouble: Mutex<Option<Trouble>>,
}

impl Troubled {
    fn check(&self, entries: &[Arc<Entry>], fails: fn(&Trouble) -> bool) -> Result<()> {
        let trouble = *self.trouble.lock();
        match trouble.filter(fails) {
            Some(trouble) if entries.iter().any(|it| trouble.refused.is(it)) => {
                Err(Error::new(trouble.kind, "an entry's server refuses it"))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Cache for Troubled {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.inner.append(append).await
    }

    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()> {
        self.inner.raise_epoch(conversation, epoch).await
    }

    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>> {
        self.inner.epochs(conversations).await
    }

    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent> {
        self.inner.recent(conversation, range, limit).await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.inner.find(conversation, id).await
    }

    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.inner.changes(conversation).await
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        self.inner.heads(conversations).await
    }

    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>> {
        self.check(&entries, |trouble| trouble.lost)?;
        self.inner.lost(entries).await
    }

    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>> {
        self.check(&entries, |trouble| trouble.settle)?;
        self.inner.settle(entries).await
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()> {
        self.inner.withdraw(conversation, id, position).await
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        self.inner.claim_overdue(age, limit).await
    }

    async fn outbox_len(&self) -> Result<u64> {
        self.inner.outbox_len().await
    }
}

/// Two groups of different shards, and nobody who writes.
struct Scene {
    ports: Ports,
    cache: Arc<Troubled>,
    broker: Arc<MemoryBroker>,
    alice: Session,
    here: ConversationId,
    there: ConversationId,
    _gateway: Chat,
}

impl Scene {
    async fn open() -> Self {
        let cache = Arc::new(Troubled {
            inner: MemoryCache::new(),
            trouble: Mutex::default(),
        });
        let broker = Arc::new(MemoryBroker::new());
        let mut ports = Ports::in_memory();
        ports.cache = cache.clone();
        ports.broker = broker.clone();
        let gateway = Chat::start(ports.clone(), Options::default().with_roles(Roles::Gateway));
        let alice = gateway
            .connect(UserId::new("alice").unwrap())
            .await
            .unwrap();
        let here = group(&alice, "one").await;
        let there = group(&alice, "another").await;
        assert_ne!(here.shard(), there.shard());
        Self {
            ports,
            cache,
            broker,
            alice,
            here,
            there,
            _gateway: gateway,
        }
    }

    async fn say(&self, conversation: ConversationId, name: &str) -> Ack {
        let name = ClientId::new(name).unwrap();
        let send = SendRequest::new(conversation, name, "hello");
        self.alice.send(send).await.unwrap()
    }

    fn trouble(&self, trouble: Option<Trouble>) {
        *self.cache.trouble.lock() = trouble;
    }

    /// What waits is one batch of it.
    fn start_writer(&self) -> Chat {
        let options = Options::default().with_roles(Roles::Writer);
        Chat::start(self.ports.clone(), options)
    }

    async fn is_stored(&self, conversation: ConversationId, id: EntryId) -> bool {
        let found = self.ports.store.find(conversation, id).await;
        found.unwrap().is_some()
    }

    async fn waits(&self, conversation: ConversationId) -> bool {
        let overdue = self.cache.inner.claim_overdue(Duration::ZERO, 100).await;
        let overdue = overdue.unwrap();
        overdue.iter().any(|it| it.conversation == conversation)
    }
}

async fn group(alice: &Session, name: &str) -> ConversationId {
    let (title, history) = (name.to_owned(), HistoryStart::Beginning);
    let name = ClientId::new(name).unwrap();
    let made = alice.create_group(name, title, Vec::new(), history).await;
    made.unwrap().0
}

async fn one_shard_away(lost: bool, settle: bool) {
    let scene = Scene::open().await;
    let away = scene.say(scene.here, "1").await;
    let other = scene.say(scene.there, "2").await;
    scene.trouble(Some(Trouble {
        refused: Refused::Shard(scene.here.shard()),
        lost,
        settle,
        kind: ErrorKind::Unavailable,
    }));
    let _writer = scene.start_writer();
    sleep(Duration::from_secs(2)).await;
    assert!(scene.is_stored(scene.there, other.id).await);
    assert!(!scene.waits(scene.there).await);
    assert!(scene.waits(scene.here).await);

    scene.trouble(None);
    sleep(Duration::from_secs(2)).await;
    assert!(scene.is_stored(scene.here, away.id).await);
    assert_eq!(scene.cache.outbox_len().await.unwrap(), 0);
    assert_eq!(scene.broker.backlog().await.unwrap(), 0);
    assert_eq!(scene.broker.dead_letters(), []);
}

#[tokio::test(start_paused = true)]
async fn what_other_shards_hold_is_written() {
    one_shard_away(true, true).await;
}

#[tokio::test(start_paused = true)]
async fn what_other_shards_hold_is_settled() {
    one_shard_away(false, true).await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_the_cache_refuses_for_good_takes_no_other_with_it() {
    let scene = Scene::open().await;
    let refused = scene.say(scene.here, "1").await;
    let beside = scene.say(scene.here, "2").await;
    let other = scene.say(scene.there, "3").await;
    scene.trouble(Some(Trouble {
        refused: Refused::Entry(refused.id),
        lost: true,
        settle: false,
        kind: ErrorKind::Internal,
    }));
    let _writer = scene.start_writer();
    sleep(Duration::from_secs(2)).await;
    assert!(scene.is_stored(scene.here, beside.id).await);
    assert!(scene.is_stored(scene.there, other.id).await);
    let dead = scene.broker.dead_letters();
    let dead: Vec<_> = dead.iter().map(|entry| entry.id).collect();
    assert_eq!(dead, [refused.id]);
    assert_eq!(scene.cache.outbox_len().await.unwrap(), 0);
}
