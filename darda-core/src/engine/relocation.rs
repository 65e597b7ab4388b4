//! Entries that get a new position: because another one took theirs while a cache was promoted, or
//! because the cache lost its memory, so that somebody may have read past them.
//!
//! An entry that came late at its old position would be missed by every cursor that is past it. At a
//! new position at the log's end everybody gets it.

use std::sync::Arc;

use super::node::Node;
use crate::error::{Error, Result};
use crate::model::{Entry, Position};
use crate::ports::{Admission, Append, Appended, Inserted, Relocated, Relocation, Settled};

/// Attempts at a new position.
const MAX_ATTEMPTS: usize = 4;

/// An entry at a new position.
struct NewPosition {
    entry: Arc<Entry>,
    /// Whether this attempt got it, and not another one.
    own: bool,
}

fn on_its_way() -> Error {
    Error::unavailable("the entry is on its way to another position")
}

impl Node {
    /// Moves an entry that could not be stored, since its position is taken.
    pub(crate) async fn move_unstored(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        self.ports
            .cache
            .withdraw(entry.conversation, entry.id, entry.position)
            .await?;
        let NewPosition { entry: moved, .. } = self.new_position(entry).await?;
        let inserted = self.ports.store.insert(vec![moved.clone()]).await?;
        match inserted.first() {
            Some(Inserted::New | Inserted::Repeat) => self.moved(entry, &moved).await,
            Some(Inserted::Duplicate { stands }) => {
                self.tell_withdrawn(entry, Some(*stands));
                self.overtaken(&moved, *stands).await
            }
            Some(Inserted::Taken) | None => {
                Err(Error::unavailable("the new position is taken too"))
            }
        }
    }

    /// Moves an entry that is stored where somebody may have read past it.
    pub(crate) async fn move_stored(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        let NewPosition { entry: moved, own } = self.new_position(entry).await?;
        if moved.position == entry.position {
            return Ok(());
        }
        let relocation = Relocation {
            from: entry.position,
            entry: moved.clone(),
        };
        match self.ports.store.relocate(relocation).await? {
            Relocated::Moved => self.moved(entry, &moved).await,
            Relocated::Elsewhere { stands } if own => self.overtaken(&moved, stands).await,
            // Whoever got that position is about to use it.
            Relocated::Elsewhere { .. } => Err(on_its_way()),
        }
    }

    /// Takes an entry back whose id is stored at another position.
    pub(crate) async fn overtaken(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        stands: Position,
    ) -> Result<()> {
        self.take_back(entry, Some(stands)).await?;
        if stands < entry.position {
            return Ok(());
        }
        // It was moved there, perhaps without being settled.
        match self.ports.store.find(entry.conversation, entry.id).await? {
            Some(standing) => self.settle_moved(&standing).await,
            None => Ok(()),
        }
    }

    /// A position at the log's end: a new one, or the one that an earlier attempt got.
    async fn new_position(&self, entry: &Entry) -> Result<NewPosition> {
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
                Appended::New(entry) => return Ok(NewPosition { entry, own: true }),
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
                    if let Some(entry) = found {
                        return Ok(NewPosition { entry, own: false });
                    }
                }
                Appended::StaleEpoch => {}
            }
        }
        Err(on_its_way())
    }

    async fn moved(self: &Arc<Self>, from: &Entry, to: &Arc<Entry>) -> Result<()> {
        self.instruments.writer_relocated.increment(1);
        self.tell_withdrawn(from, Some(to.position));
        self.announce(to, None);
        self.move_heads(std::slice::from_ref(to)).await?;
        self.settle_moved(to).await
    }

    async fn settle_moved(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<()> {
        let settled = self.ports.cache.settle(vec![entry.clone()]).await?;
        match settled.first() {
            // The cache lost its memory once more. The boxed future only ends the type's recursion.
            Some(Settled::Lost) => Box::pin(self.move_stored(entry)).await,
            _ => Ok(()),
        }
    }
}
