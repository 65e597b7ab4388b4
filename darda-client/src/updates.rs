//! What a client tells its app: one typed stream.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::id::{ClientId, ConversationId, EntryId, Position, UserId};
use crate::status::Status;
use crate::wire::{Ack, Append, Entry, Receipt, Summary};
use crate::{Error, Result};

/// Something that the app should know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Update {
    /// How it stands with the server has changed. Only the newest of several that wait is kept.
    Status(Status),
    /// The next entry of a conversation: each once, by position. One's own are among them.
    Entry {
        /// The entry.
        entry: Entry,
        /// It stands before entries that came already. This is rare: a part of the server had lost its
        /// memory.
        late: bool,
    },
    /// An entry that came already does not stand at `position`: take it out there. If it stands
    /// elsewhere, it comes again.
    Withdrawn {
        /// The conversation.
        conversation: ConversationId,
        /// The entry.
        entry: EntryId,
        /// Where it stood.
        position: Position,
        /// Where it stands now; `None`: nowhere.
        stands: Option<Position>,
    },
    /// The entries between two positions did not come: they are too many. `history` has them.
    Skipped {
        /// The conversation.
        conversation: ConversationId,
        /// What came up to here is whole.
        after: Position,
        /// From here on it is whole again.
        before: Position,
    },
    /// Something that was sent is acknowledged. Its entry comes besides, in its place.
    Sent {
        /// The conversation.
        conversation: ConversationId,
        /// What this device called it.
        client_id: ClientId,
        /// Where it stands.
        ack: Ack,
    },
    /// Something that was sent will not succeed: show it to the user. It waits no more.
    Refused {
        /// The conversation.
        conversation: ConversationId,
        /// What this device called it.
        client_id: ClientId,
        /// What it was.
        append: Append,
        /// Why.
        error: Error,
    },
    /// The list of conversations says this of one. After each connect, of all.
    Listed(Summary),
    /// The user is a member from now on.
    Joined(ConversationId),
    /// The user is no longer a member, or the server has lost the conversation.
    Left(ConversationId),
    /// Marks of members moved forward. Left out while too many updates wait.
    Receipts {
        /// The conversation.
        conversation: ConversationId,
        /// Whose, and to where.
        receipts: Vec<Receipt>,
    },
    /// Somebody types, or no longer does. Left out while too many updates wait.
    Typing {
        /// The conversation.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether they type.
        active: bool,
    },
    /// The storage failed: what is in memory goes on, but would not outlive a restart.
    StorageFailed(Error),
}

/// The stream of updates. It ends when the client is closed.
///
/// **An update counts as handled when the next one is asked for.** Up to there the storage's cursors
/// move, some tenths of a second later: an app that is killed gets the last updates again, and misses
/// none. An app that keeps entries itself does so by their id.
#[derive(Debug)]
pub struct Updates {
    waiting: mpsc::Receiver<Update>,
    handled: Arc<Handled>,
    last: Option<Mark>,
}

impl Updates {
    pub(crate) fn new(waiting: mpsc::Receiver<Update>, handled: Arc<Handled>) -> Self {
        Self {
            waiting,
            handled,
            last: None,
        }
    }

    /// The next update; `None` after the client was closed.
    ///
    /// # Cancellation
    /// Safe: no update is lost. The one before counts as handled.
    pub async fn next(&mut self) -> Option<Update> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Says that the last update is handled, without asking for another.
    pub fn handled(&mut self) {
        if let Some(mark) = self.last.take() {
            self.handled.note(mark);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Update>> {
        self.handled();
        let next = self.waiting.poll_recv(context);
        if let Poll::Ready(Some(update)) = &next {
            self.last = Mark::of(update);
        }
        next
    }
}

impl Stream for Updates {
    type Item = Update;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Update>> {
        self.get_mut().poll(context)
    }
}

/// What an update means for the storage once it is handled.
#[derive(Debug)]
enum Mark {
    Entry(ConversationId, Position),
    Refused(ConversationId, ClientId),
}

impl Mark {
    fn of(update: &Update) -> Option<Self> {
        match update {
            // A late one stands below what is handled already.
            Update::Entry { entry, late: false } => {
                Some(Self::Entry(entry.conversation.clone(), entry.position))
            }
            Update::Skipped {
                conversation,
                before,
                ..
            } => Some(Self::Entry(
                conversation.clone(),
                Position(before.0.saturating_sub(1)),
            )),
            Update::Refused {
                conversation,
                client_id,
                ..
            } => Some(Self::Refused(conversation.clone(), client_id.clone())),
            _ => None,
        }
    }
}

/// What the app has handled and the storage does not know yet. At most one cursor a conversation, and
/// no more refusals than the outbox has items.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    news: Mutex<News>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) cursors: HashMap<ConversationId, Position>,
    pub(crate) refused: Vec<(ConversationId, ClientId)>,
}

impl Handled {
    fn note(&self, mark: Mark) {
        let mut news = self.news.lock();
        match mark {
            Mark::Entry(conversation, position) => {
                news.cursors.insert(conversation, position);
            }
            Mark::Refused(conversation, client_id) => news.refused.push((conversation, client_id)),
        }
        drop(news);
        self.changed.notify_one();
    }

    /// When something may have been handled. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock())
    }
}

/// A send that the storage has. The send goes on when this is dropped.
#[derive(Debug)]
pub struct Sending {
    pub(crate) client_id: ClientId,
    pub(crate) answer: tokio::sync::oneshot::Receiver<Result<Ack>>,
}

impl Sending {
    /// What this device calls it, for ever.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Waits until the server has it, however long that takes: through reconnects and repeats.
    ///
    /// # Errors
    /// `Refused` when it will not succeed, `Stopped` when the client is closed before: it is sent when the
    /// client is started again on the same storage.
    ///
    /// # Cancellation
    /// Safe: the send goes on, and [`Update::Sent`] or [`Update::Refused`] tells of it besides.
    pub async fn acked(self) -> Result<Ack> {
        self.answer.await.unwrap_or_else(|_| Err(Error::stopped()))
    }
}
