//! Writes changes beside the client, in order, so that a slow disk stops no event. What waits while one
//! write is under way is one write.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::{Change, Storage};
use crate::Error;
use crate::id::{ClientId, ConversationId};

/// The way to a storage.
#[derive(Debug)]
pub(crate) struct Keeper {
    changes: mpsc::Sender<Change>,
    /// What became of it.
    kept: mpsc::Receiver<Kept>,
    under_way: usize,
    task: AbortOnDropHandle<()>,
}

/// What became of changes.
#[derive(Debug)]
pub(crate) enum Kept {
    /// An item was put, or not.
    Item(ConversationId, ClientId, Result<(), Error>),
    /// So many changes are through, with what went wrong.
    Written(usize, Result<(), Error>),
}

impl Keeper {
    /// With room for a whole outbox that comes and goes while one write is under way.
    pub(crate) fn start(storage: Arc<dyn Storage>, max_outbox: usize) -> Self {
        let room = max_outbox.saturating_add(AT_ONCE).saturating_mul(2);
        let (changes, waiting) = mpsc::channel(room.min(Semaphore::MAX_PERMITS));
        let (tell, kept) = mpsc::channel(AT_ONCE);
        let task = AbortOnDropHandle::new(tokio::spawn(keep(storage, waiting, tell)));
        Self {
            changes,
            kept,
            under_way: 0,
            task,
        }
    }

    /// Passes a change on. `false`: the storage is too far behind, and it will not be kept. A send must
    /// then not go out; without any other change a later life does something twice that can be repeated.
    pub(crate) fn keep(&mut self, change: Change) -> bool {
        let room = self.changes.try_send(change).is_ok();
        self.under_way += usize::from(room);
        room
    }

    /// Whether what can be kept later should be.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way > AT_ONCE
    }

    /// What became of what was given. Cancel-safe.
    pub(crate) async fn kept(&mut self) -> Option<Kept> {
        let kept = self.kept.recv().await;
        if let Some(Kept::Written(changes, _)) = &kept {
            self.under_way -= changes;
        }
        kept
    }

    /// Until everything is written.
    pub(crate) async fn finish(self) {
        drop((self.changes, self.kept));
        // It was not stopped by anybody, and does not panic.
        let _ = self.task.await;
    }
}

/// Changes of one write.
const AT_ONCE: usize = 256;

async fn keep(
    storage: Arc<dyn Storage>,
    mut waiting: mpsc::Receiver<Change>,
    tell: mpsc::Sender<Kept>,
) {
    let mut changes = Vec::new();
    while waiting.recv_many(&mut changes, AT_ONCE).await > 0 {
        let count = changes.len();
        let items: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Put(item) => Some((item.conversation.clone(), item.client_id.clone())),
                _ => None,
            })
            .collect();
        let written = storage.apply(std::mem::take(&mut changes)).await;
        // Nobody listens any more while the client closes.
        for (conversation, client_id) in items {
            let _ = tell
                .send(Kept::Item(conversation, client_id, written.clone()))
                .await;
        }
        let _ = tell.send(Kept::Written(count, written)).await;
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::storage::Stored;

    #[derive(Debug)]
    struct Hanging;

    #[async_trait]
    impl Storage for Hanging {
        async fn load(&self) -> crate::Result<Stored> {
            Ok(Stored::default())
        }

        async fn apply(&self, _: Vec<Change>) -> crate::Result<()> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_storage_that_hangs_is_given_no_more_than_there_is_room_for() {
        let mut keeper = Keeper::start(Arc::new(Hanging), 10);
        let mut kept = 0;
        while keeper.keep(Change::CaughtUp) && kept < 10_000 {
            kept += 1;
        }
        assert_eq!(kept, 2 * (10 + AT_ONCE));
    }
}
