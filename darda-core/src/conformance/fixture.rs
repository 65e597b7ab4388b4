//! What the cases are made from: names that no other case has, entries, and waiting.

#![expect(
    clippy::expect_used,
    reason = "the names made here are within every limit"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::{BoxStream, StreamExt};
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Body, ClientId, ConversationId, Entry, EntryId, Epoch, MemberChange, NodeId, Position, UserId,
};
use crate::ports::{Admission, Append, Appended, Cache};

/// How long a case waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A text that no other case has used, in this process or another.
fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    format!("{what}-{:x}-{process:x}-{next:x}", now_us())
}

pub(super) fn now_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn user(name: &str) -> UserId {
    UserId::new(unique(name)).expect("a short name")
}

pub(super) fn node(name: &str) -> NodeId {
    NodeId::new(unique(name))
}

pub(super) fn group() -> ConversationId {
    ConversationId::group(&user("creator"), &client_id("group"))
}

pub(super) fn client_id(name: &str) -> ClientId {
    ClientId::new(name).expect("a short name")
}

/// A change that needs no more than its base.
pub(super) fn rename(base: Epoch) -> Body {
    Body::Members {
        base,
        change: MemberChange::Rename {
            title: "title".into(),
        },
    }
}

/// A log to append to through a cache.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) id: ConversationId,
    pub(super) sender: UserId,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            id: group(),
            sender: user("sender"),
        }
    }

    pub(super) fn append(&self, client: &str, body: impl Into<Body>, fresh: bool) -> Append {
        self.checked(client, body, Epoch(0), fresh)
    }

    pub(super) fn checked(
        &self,
        client: &str,
        body: impl Into<Body>,
        epoch: Epoch,
        fresh: bool,
    ) -> Append {
        self.admitted(client, body, Admission::Checked { epoch, fresh })
    }

    pub(super) fn admitted(
        &self,
        client: &str,
        body: impl Into<Body>,
        admission: Admission,
    ) -> Append {
        let client_id = client_id(client);
        Append {
            conversation: self.id,
            id: EntryId::derive(self.id, &self.sender, &client_id),
            sender: self.sender.clone(),
            client_id,
            body: body.into(),
            admission,
        }
    }

    /// Appends a message with a fresh copy of epoch 0.
    pub(super) async fn send(&self, cache: &dyn Cache, client: &str) -> Result<Arc<Entry>> {
        appended(cache, self.append(client, client, true)).await
    }

    /// Appends that many messages, some at a time, and gives them in the order of their positions.
    pub(super) async fn send_many(
        &self,
        cache: &dyn Cache,
        count: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        let mut entries = Vec::new();
        for number in 0..count {
            entries.push(self.send(cache, &format!("many-{number}")).await?);
        }
        Ok(entries)
    }

    /// An entry as a cache would have made it.
    pub(super) fn entry(&self, position: u64, client: &str) -> Arc<Entry> {
        let client_id = client_id(client);
        Arc::new(Entry {
            conversation: self.id,
            position: Position(position),
            prev: position.checked_sub(1).map(Position),
            epoch: Epoch(0),
            id: EntryId::derive(self.id, &self.sender, &client_id),
            sender: self.sender.clone(),
            client_id,
            body: client.into(),
            incarnation: 1,
            relocated: false,
        })
    }

    /// Entries at positions 1, 2, ….
    pub(super) fn entries(&self, count: u64) -> Vec<Arc<Entry>> {
        (1..=count)
            .map(|position| self.entry(position, &format!("{position}")))
            .collect()
    }
}

/// The entry that an append made.
pub(super) async fn appended(cache: &dyn Cache, append: Append) -> Result<Arc<Entry>> {
    match cache.append(append).await? {
        Appended::New(entry) => Ok(entry),
        other => Err(Error::new(
            ErrorKind::Internal,
            format!("not a new entry: {other:?}"),
        )),
    }
}

/// Asserts that an append was refused for its epoch.
pub(super) async fn refused(cache: &dyn Cache, append: Append) -> Result<()> {
    let appended = cache.append(append).await?;
    assert!(
        matches!(appended, Appended::StaleEpoch),
        "not refused: {appended:?}"
    );
    Ok(())
}

pub(super) fn positions(entries: &[Arc<Entry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.position.0).collect()
}

/// The next item of a stream that must come.
pub(super) async fn next<T>(stream: &mut BoxStream<'static, Result<T>>) -> Result<T> {
    match timeout(PATIENCE, stream.next()).await {
        Ok(Some(item)) => item,
        Ok(None) => Err(Error::new(ErrorKind::Internal, "the stream has ended")),
        Err(_) => Err(Error::new(ErrorKind::Internal, "nothing came")),
    }
}

/// Waits until a stream ends, by an error or without.
pub(super) async fn ended<T>(stream: &mut BoxStream<'static, Result<T>>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match timeout(PATIENCE, stream.next()).await {
            Ok(None | Some(Err(_))) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Err(_) => break,
        }
    }
    Err(Error::new(ErrorKind::Internal, "the stream goes on"))
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > deadline {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("never came true: {what}"),
            ));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Repeats a call to a backend that may still be away after a disturbance.
pub(super) async fn persist<T, F>(mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
}
