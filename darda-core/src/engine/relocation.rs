//! Entries that get a new position: because another one took theirs while a cache was promoted, or
//! because the cache lost its memory, so that somebody may have read past them.
//!
//! An entry that came late at its old position would be missed by every cursor that is past it. At a
//! new position at the log's end everybody gets it.

use std::sync::Arc;

use super::node::Node;
use crate::error::{Error, Result};
use crate::model::{Entry, Position};
use crate::ports::{Admission, Append, Appended, Relocated, Settled};

/// Attempts at a new position.
const MAX_ATTEMPTS: usize = 4;

impl Node {
    /// Moves an entry that could not be stored, since its position is taken.
    pub(crate) async fn move_unstored(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        self.ports
            .cache
            .withdraw(entry.conversation, entry.id, entry.position)
            .await?;
        self.move_on(entry).await
    }

    /// Moves an entry to the log's end.
    pub(crate) async fn move_on(self: &Arc<Self>, entry: &Entry) -> Result<()> {
        let moved = self.new_position(entry).await?;
        self.stand(&moved, entry.position).await
    }

    /// Stores an entry at its new position, wherever it was before: at `from` as far as the caller
    /// knows. Of several attempts the furthest one stands, whichever comes last.
    pub(crate) async fn stand(self: &Arc<Self>, entry: &Arc<Entry>, from: Position) -> Result<()> {
        match self.ports.store.relocate(entry.clone()).await? {
            Relocated::Stands { left } => {
                if let Some(left) = left.filter(|left| *left != from) {
                    self.tell_withdrawn(entry, left, Some(entry.position));
                }
                self.tell_moved(entry, from);
                self.move_heads(std::slice::from_ref(entry)).await?;
                self.settle_moved(entry).await
            }
            Relocated::Beyond { stands } => self.overtaken(entry, stands).await,
            Relocated::Taken => {
                self.take_back(entry, None).await?;
                Err(Error::unavailable("the new position is taken too"))
            }
        }
    }

    /// Tells of an entry that stands at a new position.
    pub(crate) fn tell_moved(self: &Arc<Self>, entry: &Arc<Entry>, from: Position) {
        self.instruments.writer_relocated.increment(1);
        self.tell_withdrawn(entry, from, Some(entry.position));
        self.announce(entry);
    }

    /// Deals with an entry whose id is stored at another position.
    pub(crate) async fn overtaken(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        stands: Position,
    ) -> Result<()> {
        if stands < entry.position && entry.relocated {
            // Its move was cut off.
            return Box::pin(self.stand(entry, stands)).await;
        }
        // Another copy of it may have moved it since.
        let find = self.ports.store.find(entry.conversation, entry.id);
        let Some(standing) = find.await? else {
            return Err(Error::unavailable("the entry is on its way"));
        };
        if standing.position != entry.position {
            self.take_back(entry, Some(standing.position)).await?;
        }
        if standing.position < entry.position {
            return Ok(());
        }
        // It was moved there, perhaps without being settled.
        self.settle_moved(&standing).await
    }

    /// A position at the log's end: a new one, or the one that an earlier attempt got.
    pub(crate) async fn new_position(&self, entry: &Entry) -> Result<Arc<Entry>> {
        let renewed = self.reposition(entry).await?;
        renewed.ok_or_else(|| Error::unavailable("the entry is on its way to another position"))
    }

    /// As [`new_position`](Self::new_position); `None` where the cache remembers only that there was an
    /// earlier attempt: the store knows what became of it.
    pub(crate) async fn reposition(&self, entry: &Entry) -> Result<Option<Arc<Entry>>> {
        let append = Append {
            conversation: entry.conversation,
            id: entry.id,
            sender: entry.sender.clone(),
            client_id: entry.client_id.clone(),
            body: entry.body.clone(),
            admission: Admission::Relocated { epoch: entry.epoch },
        };
        for _ in 0..MAX_ATTEMPTS {
            match self.ports.cache.append(append.clone()).await? {
                Appended::New(moved) => return Ok(Some(moved)),
                Appended::Repeat { position, .. } if position < entry.position => {
                    // A promoted copy knows only where the entry was before.
                    self.ports
                        .cache
                        .withdraw(entry.conversation, entry.id, position)
                        .await?;
                }
                Appended::Repeat { pending, .. } => {
                    let found = match pending {
                        None => self.ports.cache.find(entry.conversation, entry.id).await?,
                        pending => pending,
                    };
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                Appended::StaleEpoch => {}
            }
        }
        Ok(None)
    }

    async fn settle_moved(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        let settled = self.ports.cache.settle(vec![entry.clone()]).await?;
        match settled.first() {
            // The cache lost its memory once more. The boxed future only ends the type's recursion.
            Some(Settled::Lost) => Box::pin(self.move_on(entry)).await,
            _ => Ok(()),
        }
    }
}
