//! Entries that get a new position: because another one took theirs while a cache was promoted, or
//! because the cache lost its memory, so that somebody may have read past them.
//!
//! An entry that came late at its old position would be missed by every cursor that is past it. At a
//! new position at the log's end everybody gets it.

use std::sync::Arc;

use super::node::Node;
use crate::error::{Error, Result};
use crate::model::Entry;
use crate::ports::{Admission, Append, Appended, Inserted, Relocation, Settled};

impl Node {
    /// Moves an entry that could not be stored, since its position is taken.
    pub(crate) async fn move_unstored(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        self.ports
            .cache
            .withdraw(entry.conversation, entry.id, entry.position)
            .await?;
        let Some(moved) = self.new_position(entry).await? else {
            return Err(Error::unavailable(
                "the entry is on its way to another position",
            ));
        };
        let inserted = self.ports.store.insert(vec![moved.clone()]).await?;
        match inserted.first() {
            Some(Inserted::New | Inserted::Repeat) => self.moved(entry, &moved).await,
            Some(Inserted::Duplicate { stands }) => {
                self.take_back(&moved, Some(*stands)).await?;
                self.tell_withdrawn(entry, Some(*stands));
                Ok(())
            }
            Some(Inserted::Taken) | None => {
                Err(Error::unavailable("the new position is taken too"))
            }
        }
    }

    /// Moves an entry that is stored where somebody may have read past it.
    pub(crate) async fn move_stored(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        let Some(moved) = self.new_position(entry).await? else {
            return Err(Error::unavailable(
                "the entry is on its way to another position",
            ));
        };
        if moved.position == entry.position {
            return Ok(());
        }
        let relocation = Relocation {
            from: entry.position,
            entry: moved.clone(),
        };
        self.ports.store.relocate(relocation).await?;
        self.moved(entry, &moved).await
    }

    /// A position at the log's end: a new one, or the one that an earlier attempt got.
    async fn new_position(&self, entry: &Entry) -> Result<Option<Arc<Entry>>> {
        let append = Append {
            conversation: entry.conversation,
            id: entry.id,
            sender: entry.sender.clone(),
            client_id: entry.client_id.clone(),
            body: entry.body.clone(),
            admission: Admission::Relocated { epoch: entry.epoch },
        };
        match self.ports.cache.append(append).await? {
            Appended::New(moved) => Ok(Some(moved)),
            Appended::Repeat {
                pending: Some(moved),
                ..
            } => Ok(Some(moved)),
            Appended::Repeat { .. } => self.ports.cache.find(entry.conversation, entry.id).await,
            Appended::StaleEpoch => Ok(None),
        }
    }

    async fn moved(self: &Arc<Self>, from: &Entry, to: &Arc<Entry>) -> Result<()> {
        self.instruments.writer_relocated.increment(1);
        self.tell_withdrawn(from, Some(to.position));
        self.announce(to, None);
        self.move_heads(std::slice::from_ref(to)).await?;
        let settled = self.ports.cache.settle(vec![to.clone()]).await?;
        match settled.first() {
            // It stays in the outbox's place: the reaper brings it once more.
            Some(Settled::Lost) => Err(Error::unavailable("the cache lost its memory again")),
            _ => Ok(()),
        }
    }
}
