//! Writes changes beside the client, in order, so that a slow disk stops no event. What waits while one
//! write is under way is one write.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Change, Storage};
use crate::Error;
use crate::id::{ClientId, ConversationId};

/// The way to a storage.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Bounded by the outbox, and by `is_busy` for cursors.
    changes: mpsc::UnboundedSender<Change>,
    /// What became of it.
    kept: mpsc::UnboundedReceiver<Kept>,
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
    pub(crate) fn start(storage: Arc<dyn Storage>) -> Self {
        let (changes, waiting) = mpsc::unbounded_channel();
        let (tell, kept) = mpsc::unbounded_channel();
        let task = AbortOnDropHandle::new(tokio::spawn(keep(storage, waiting, tell)));
        Self {
            changes,
            kept,
            under_way: 0,
            task,
        }
    }

    pub(crate) fn keep(&mut self, change: Change) {
        // It ends only with this value.
        if self.changes.send(change).is_ok() {
            self.under_way += 1;
        }
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
        drop(self.changes);
        // It was not stopped by anybody, and does not panic.
        let _ = self.task.await;
    }
}

/// Changes of one write.
const AT_ONCE: usize = 256;

async fn keep(
    storage: Arc<dyn Storage>,
    mut waiting: mpsc::UnboundedReceiver<Change>,
    tell: mpsc::UnboundedSender<Kept>,
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
            let _ = tell.send(Kept::Item(conversation, client_id, written.clone()));
        }
        let _ = tell.send(Kept::Written(count, written));
    }
}
