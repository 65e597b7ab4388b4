//! The store: which part of it does what.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use darda_core::Result;
use darda_core::model::{ConversationId, Entry, EntryId, Marks, Members, MembersDelta, UserId};
use darda_core::ports::{Commit, Head, Inserted, MarkUpdate, Membership, Range, Relocated, Store};
use mongodb::Client;
use tempfile::NamedTempFile;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::MongoConfig;
use crate::connection::{Connection, client};
use crate::readiness::{Readiness, make_indexes};

/// How long closing the connections may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The [`Store`] on MongoDB.
#[derive(Debug)]
pub struct MongoStore {
    connection: Connection,
    readiness: watch::Receiver<Readiness>,
    /// Moves of entries, which end also when their callers have gone, and the making of indexes.
    tasks: TaskTracker,
    stop: DropGuard,
    /// A client of ours is closed with the store.
    is_ours: bool,
    _identity: Option<NamedTempFile>,
}

impl MongoStore {
    /// A store on a database that may be away: it is connected to, and its indexes are made, in the
    /// background. Until then calls fail as `Unavailable`.
    ///
    /// The name of a `mongodb+srv` URL is looked up at once.
    ///
    /// # Errors
    /// `Invalid` if the URL, the database's name or a TLS file cannot be used; `Unavailable` if the
    /// name of a `mongodb+srv` URL is not found.
    pub async fn connect(config: MongoConfig) -> Result<Self> {
        let (client, identity) = client(&config).await?;
        let connection = Connection::new(client, &config)?;
        Ok(Self::over(connection, true, identity))
    }

    /// A store on a client that you have set up; the configuration's URL and its settings of
    /// connections count for nothing. Its Stable API, if any, is yours; write concern, read concern
    /// and read preference are the store's. [`close`](Self::close) leaves the client open.
    ///
    /// # Errors
    /// `Invalid` if the database's name is none.
    pub fn with_client(client: Client, config: &MongoConfig) -> Result<Self> {
        Ok(Self::over(Connection::new(client, config)?, false, None))
    }

    fn over(connection: Connection, is_ours: bool, identity: Option<NamedTempFile>) -> Self {
        let (known, readiness) = watch::channel(Readiness::Pending);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(make_indexes(connection.clone(), known, stop.clone()));
        Self {
            connection,
            readiness,
            tasks,
            stop: stop.drop_guard(),
            is_ours,
            _identity: identity,
        }
    }

    /// Waits until the indexes are known to be there, so that entries can be stored.
    ///
    /// # Errors
    /// `Unavailable` if one of them is not as it must be; the sentence names it. The store goes on
    /// looking at it.
    pub async fn ready(&self) -> Result<()> {
        let mut readiness = self.readiness.clone();
        let known = readiness.wait_for(|readiness| *readiness != Readiness::Pending);
        match known.await {
            Ok(known) => known.check(),
            // The task has been stopped.
            Err(_) => self.readiness.borrow().check(),
        }
    }

    /// Ends what runs in the background, and closes the connections.
    pub async fn close(self) {
        drop(self.stop);
        self.tasks.close();
        // Moves of entries are bounded, but nobody waits that long for a hung database.
        let _ = timeout(self.connection.operation_timeout, self.tasks.wait()).await;
        if self.is_ours {
            // Of a database that hangs it takes no leave.
            let shutdown = self.connection.client.shutdown().immediate(true);
            let _ = timeout(GOODBYE, shutdown.into_future()).await;
        }
    }

    fn check_ready(&self) -> Result<()> {
        self.readiness.borrow().check()
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn insert(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Inserted>> {
        self.check_ready()?;
        self.connection
            .bounded(self.connection.insert(&entries))
            .await
    }

    async fn relocate(&self, entry: Arc<Entry>) -> Result<Relocated> {
        self.check_ready()?;
        let connection = self.connection.clone();
        // A caller that gives up between the two writes must not leave the entry at neither place.
        let moving = self
            .tasks
            .spawn(async move { connection.relocate(&entry).await });
        let moved = async {
            let moved = moving.await;
            moved.unwrap_or_else(|error| {
                let broken = crate::error::unavailable("a move of an entry was broken off");
                Err(broken.with_source(error))
            })
        };
        self.connection.bounded(moved).await
    }

    async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        let page = self.connection.page(conversation, range, limit);
        self.connection.bounded(page).await
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        self.connection
            .bounded(self.connection.find(conversation, id))
            .await
    }

    async fn open_direct(&self, a: UserId, b: UserId) -> Result<()> {
        self.connection
            .bounded(self.connection.open_direct(&a, &b))
            .await
    }

    async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        self.connection
            .bounded(self.connection.members(conversation))
            .await
    }

    async fn commit_members(&self, delta: MembersDelta, entry: Arc<Entry>) -> Result<Commit> {
        let commit = self.connection.commit_members(&delta, &entry);
        self.connection.bounded(commit).await
    }

    async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        self.connection
            .bounded(self.connection.unlogged(conversation))
            .await
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.connection
            .bounded(self.connection.memberships(&user))
            .await
    }

    async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        self.connection.bounded(self.connection.mark(updates)).await
    }

    async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.connection
            .bounded(self.connection.marks(conversation))
            .await
    }

    async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        self.connection
            .bounded(self.connection.set_heads(heads))
            .await
    }

    async fn block(&self, user: UserId, other: UserId) -> Result<()> {
        self.connection
            .bounded(self.connection.block(&user, &other))
            .await
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<()> {
        self.connection
            .bounded(self.connection.unblock(&user, &other))
            .await
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<UserId>> {
        self.connection.bounded(self.connection.blocks(&user)).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool> {
        self.connection
            .bounded(self.connection.blocked_between(&a, &b))
            .await
    }
}
