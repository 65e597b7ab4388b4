//! What a session is asked and what it answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tokio::time::{Timeout, timeout};

use crate::error::{Error, Result};
use crate::model::{
    Body, ClientId, ConversationId, ConversationKind, Entry, EntryId, Marks, Position, Role, UserId,
};
use crate::resilience::BreakerState;

/// Something to append to a conversation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SendRequest {
    /// The conversation.
    pub conversation: ConversationId,
    /// The device's own name for this send. The same one again is the same send, for ever.
    pub client_id: ClientId,
    /// What to say.
    pub body: Body,
    /// Whether it may have been sent before. Set it on every retry: it makes the engine look into
    /// the store too, which remembers for ever.
    pub resend: bool,
}

impl SendRequest {
    /// A first send.
    pub fn new(conversation: ConversationId, client_id: ClientId, body: impl Into<Body>) -> Self {
        Self {
            conversation,
            client_id,
            body: body.into(),
            resend: false,
        }
    }

    /// Says whether this is a retry.
    #[must_use]
    pub fn with_resend(mut self, resend: bool) -> Self {
        self.resend = resend;
        self
    }
}

/// An entry is kept: it reaches the store and every member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Its id.
    pub id: EntryId,
    /// Where it stands.
    pub position: Position,
    /// The position before it; `None` where that is not known.
    pub prev: Option<Position>,
    /// Whether it was there before this request.
    pub repeat: bool,
}

/// An entry that has its position and is being handed over.
#[derive(Debug)]
#[must_use = "the send is acknowledged only when `ack` returns"]
pub struct Pending {
    pub(crate) ack: Ack,
    pub(crate) handover: Option<oneshot::Receiver<Result<()>>>,
    pub(crate) timeout: Duration,
}

impl Pending {
    /// Where the entry will stand.
    #[must_use]
    pub fn position(&self) -> Position {
        self.ack.position
    }

    /// Waits until the entry is kept. Dropping it loses the answer, not the entry.
    ///
    /// # Errors
    /// `Unavailable` when the broker does not confirm in time, `Busy` when its queue is full: repeat
    /// the send with the same client id.
    pub fn ack(self) -> Acknowledged {
        Acknowledged {
            ack: self.ack,
            handover: self
                .handover
                .map(|handover| timeout(self.timeout, handover)),
        }
    }
}

pin_project! {
    /// What [`Pending::ack`] waits for.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Acknowledged {
        ack: Ack,
        #[pin]
        handover: Option<Timeout<oneshot::Receiver<Result<()>>>>,
    }
}

impl Future for Acknowledged {
    type Output = Result<Ack>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(handover) = this.handover.as_pin_mut() {
            match ready!(handover.poll(cx)) {
                Ok(Ok(confirmed)) => confirmed?,
                Ok(Err(_)) => return Poll::Ready(Err(Error::unavailable("the node stopped"))),
                Err(_) => {
                    let late = Error::unavailable("the broker did not confirm in time");
                    return Poll::Ready(Err(late));
                }
            }
        }
        Poll::Ready(Ok(*this.ack))
    }
}

/// What a conversation holds after a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Ascending, without repeats.
    pub entries: Vec<Arc<Entry>>,
    /// Whether that is all.
    pub catch_up: CatchUp,
    /// The newest position, if known.
    pub head: Option<Position>,
    /// Whether it was read without the cache, so that the newest entries may be missing.
    pub stale: bool,
}

/// Whether a receiver holds everything after an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum CatchUp {
    /// Nothing is missing between the cursor and the newest entry; live events continue from there.
    Complete,
    /// Something is missing: page through `history` after `after`, up to `before` or, if that is
    /// `None`, until there is no more; or attach again later.
    Gap {
        /// The last position up to which nothing is missing.
        after: Position,
        /// The first position known to be held again.
        before: Option<Position>,
    },
}

/// A stretch of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Ascending.
    pub entries: Vec<Arc<Entry>>,
    /// Whether there is more in the direction asked.
    pub more: bool,
    /// Whether it was read without the cache, so that the newest entries may be missing; before a position,
    /// also others.
    pub stale: bool,
}

/// A conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationSummary {
    /// The conversation.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// The group's title.
    pub title: String,
    /// The other user of a direct conversation.
    pub peer: Option<UserId>,
    /// The user's role.
    pub role: Role,
    /// The newest position, if there is an entry.
    pub head: Option<Position>,
    /// The newest message, if the user may see it.
    pub last_message: Option<Arc<Entry>>,
    /// How far the user has come.
    pub marks: Marks,
    /// What the user has not seen.
    pub unread: Unread,
}

/// How many messages of others stand after the seen mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread {
    /// So many at least.
    pub count: u32,
    /// Whether there may be more: counting is bounded by
    /// [`MAX_UNREAD`](crate::model::limits::MAX_UNREAD).
    pub more: bool,
}

/// A mark to move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Everything up to here reached a device.
    Delivered(Position),
    /// Everything up to here was seen.
    Seen(Position),
}

/// Whether a port answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortHealth {
    /// `broker`, `store`, `cache` or `registry`.
    pub port: &'static str,
    /// Whether it answered in time.
    pub ok: bool,
    /// What it said if not.
    pub detail: String,
    /// Whether its breaker lets calls through, if it has one.
    pub breaker: Option<BreakerState>,
}

impl PortHealth {
    /// Whether something of what the node does fails or waits because of this port: it did not
    /// answer, or its breaker has not closed yet.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        !self.ok
            || self
                .breaker
                .is_some_and(|state| state != BreakerState::Closed)
    }
}
