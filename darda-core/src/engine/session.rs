//! One connection of one user's device.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::node::Node;
use super::publish::To;
use super::queue::EventQueue;
use super::registered::{Pulse, Pulses, SessionCore};
use super::surface::{Ack, Attached, ConversationSummary, Mark, Page, Pending, SendRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::{MAX_PRESENCE, MAX_TYPING_MEMBERS};
use crate::model::{
    ClientId, ConversationId, HistoryStart, Marks, MemberChange, Members, Position, SessionId,
    UserId,
};
use crate::ports::{Audience, Event, EventBody, LiveEvent, Presence, Range};

/// One connection of one user's device: a stream of events, and calls. Dropping it ends it.
///
/// Every call is bounded by the request timeout and counted by the rate limits. A transient error
/// ([`Error::is_transient`]) means that the same call may succeed later; a send must then be
/// repeated with the same client id.
///
/// A session gets no event of its own sends: their acks hold position and `prev`.
#[derive(Debug)]
pub struct Session {
    node: Arc<Node>,
    core: Arc<SessionCore>,
    order: Mutex<()>,
    buffer: Vec<Event>,
    next: VecDeque<Event>,
}

impl Session {
    pub(crate) async fn begin(node: Arc<Node>, user: UserId) -> Result<Self> {
        let pulses = Pulses {
            // Until then other nodes may go by routes that do not know of it.
            first: node.options.route_ttl.mul_f64(1.5),
            every: node.options.heads_every,
        };
        let core = Arc::new(SessionCore::new(
            node.new_session_id(),
            user,
            EventQueue::new(node.options.session_queue),
            node.session_limiter(),
            pulses,
        ));
        node.sessions.add(core.clone());
        node.instruments.sessions.set(node.sessions.len() as f64);
        // From here on its drop cleans up, also when the caller gives up waiting.
        let session = Self {
            node,
            core,
            order: Mutex::new(()),
            buffer: Vec::new(),
            next: VecDeque::new(),
        };
        let (node, core) = (&session.node, &session.core);
        let registration = vec![(core.user.clone(), core.id.clone())];
        match node.bounded(node.register(registration)).await {
            Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
            Err(_) => node
                .unregistered
                .store(true, std::sync::atomic::Ordering::Relaxed),
            Ok(()) => {}
        }
        match node
            .bounded(node.ports.store.memberships(core.user.clone()))
            .await
        {
            Ok(memberships) => {
                node.remember_direct(&core.user, &memberships);
                for membership in memberships {
                    let from = membership.member.visible_from;
                    node.subscribe(core, membership.conversation, from, membership.epoch);
                }
            }
            Err(error) if error.is_transient() && error.kind() != ErrorKind::Closed => {
                core.pulse_at(Pulse::List, Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(session)
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.core.id
    }

    /// Whose session it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.core.user
    }

    /// Moves all events that wait to `into`, which must be empty. `Ready(true)`: there is at least
    /// one. `Ready(false)`: the session is closed.
    pub fn poll_events(&self, cx: &mut Context<'_>, into: &mut Vec<Event>) -> Poll<bool> {
        self.core.queue.poll_drain(cx, into)
    }

    /// Waits for events and moves them to `into`, which must be empty. `false`: the session is
    /// closed. Dropping the future loses nothing.
    pub async fn events(&self, into: &mut Vec<Event>) -> bool {
        poll_fn(|cx| self.poll_events(cx, into)).await
    }

    /// Sends, and waits until the entry is kept.
    ///
    /// # Errors
    /// `Invalid`, `TooLarge`, `NotFound` (no such conversation or message), `Forbidden`, `Blocked`;
    /// transient: `RateLimited`, `Busy`, `Unavailable`, `Conflict`, `Closed`. After a transient one
    /// send again with the same client id and [`resend`](SendRequest::resend).
    pub async fn send(&self, request: SendRequest) -> Result<Ack> {
        self.append(request).await?.ack().await
    }

    /// Gives an entry its position, and hands it over: [`Pending::ack`] says when it is kept.
    /// Appends get their positions in the order of these calls.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn append(&self, request: SendRequest) -> Result<Pending> {
        let work = async {
            let _turn = self.order.lock().await;
            self.node.append(&self.core, request).await
        };
        let outcome = self.node.bounded(work).await;
        if outcome.is_err() {
            self.node.instruments.send_errors.increment(1);
        }
        outcome
    }

    /// The direct conversation with another user, made if there is none.
    ///
    /// # Errors
    /// `Blocked`; `LimitReached` when one of both is in too many conversations; transient ones.
    pub async fn open_direct(&self, other: UserId) -> Result<ConversationId> {
        self.node
            .bounded(self.node.open_direct(&self.core, other))
            .await
    }

    /// Makes a group, whose owner is this user.
    ///
    /// # Errors
    /// `Invalid`, `TooLarge`, `Blocked`, `LimitReached` when a member is in too many conversations;
    /// transient ones: repeat with the same client id.
    pub async fn create_group(
        &self,
        client_id: ClientId,
        title: String,
        members: Vec<UserId>,
        history: HistoryStart,
    ) -> Result<(ConversationId, Ack)> {
        let make = self
            .node
            .create_group(&self.core, client_id, title, members, history);
        self.node.bounded(make).await
    }

    /// Changes a group's members or title, by the table of
    /// [permissions](crate::model::permissions).
    ///
    /// # Errors
    /// `Invalid`, `TooLarge`, `NotFound` (no such conversation or member), `Forbidden`,
    /// `Blocked`, `LimitReached`; transient ones: repeat with the same client id.
    pub async fn change_members(
        &self,
        conversation: ConversationId,
        client_id: ClientId,
        change: MemberChange,
    ) -> Result<Ack> {
        if let MemberChange::Create { .. } = change {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a group is made by `create_group`",
            ));
        }
        self.node
            .bounded(
                self.node
                    .change(&self.core, conversation, client_id, change),
            )
            .await
    }

    /// What a conversation holds after a cursor, at most 200 entries, and from then on live; without
    /// a cursor, the newest 50.
    ///
    /// # Errors
    /// `NotFound`; transient ones, when neither cache nor store can say anything.
    pub async fn attach(
        &self,
        conversation: ConversationId,
        cursor: Option<Position>,
    ) -> Result<Attached> {
        self.request(self.node.attach(&self.core, conversation, cursor))
            .await
    }

    /// Attaches many conversations with their cursors; of one that is named again the lowest counts.
    /// Those of which nothing is missing are not in the answer. Those that would make it larger than
    /// [`MAX_RESUME_ENTRIES`](crate::model::limits::MAX_RESUME_ENTRIES) or
    /// [`MAX_RESUME_BYTES`](crate::model::limits::MAX_RESUME_BYTES) are a gap from the cursor.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_RESUME`](crate::model::limits::MAX_RESUME) conversations; transient
    /// ones.
    pub async fn resume(
        &self,
        cursors: Vec<(ConversationId, Position)>,
    ) -> Result<Vec<(ConversationId, Result<Attached>)>> {
        self.request(self.node.resume(&self.core, cursors)).await
    }

    /// A page of history of at most `limit` entries, cut to
    /// [`MAX_PAGE`](crate::model::limits::MAX_PAGE). `After` gives the next entries after the
    /// position, `Before` those just before it.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for a limit of 0; transient ones.
    pub async fn history(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Page> {
        self.request(self.node.history(&self.core, conversation, range, limit))
            .await
    }

    /// The user's conversations by their newest entry, newest first, at most `limit`, cut to
    /// [`MAX_LIST_PAGE`](crate::model::limits::MAX_LIST_PAGE), and those with the same head as the
    /// last of them. `before` gives those whose head is older.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0; transient ones.
    pub async fn conversations(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<ConversationSummary>> {
        self.request(self.node.conversations(&self.core, before, limit))
            .await
    }

    /// A conversation's members.
    ///
    /// # Errors
    /// `NotFound`; transient ones.
    pub async fn members(&self, conversation: ConversationId) -> Result<Arc<Members>> {
        self.request(self.node.members_for(conversation, self.user()))
            .await
    }

    /// How far the members have come.
    ///
    /// # Errors
    /// `NotFound`; transient ones.
    pub async fn receipts(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.request(self.node.marks_of(conversation, self.user()))
            .await
    }

    /// Moves one's own mark forward; back it does not go. It is written and passed on within the
    /// receipt window.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a position that lies in the future; transient ones.
    pub async fn mark(&self, conversation: ConversationId, mark: Mark) -> Result<()> {
        self.request(self.node.mark(&self.core, conversation, mark))
            .await
    }

    /// Tells the others that one types, or no longer does. In conversations of more than
    /// [`MAX_TYPING_MEMBERS`] it is not passed on.
    ///
    /// # Errors
    /// `NotFound`; transient ones.
    pub async fn typing(&self, conversation: ConversationId, active: bool) -> Result<()> {
        self.request(async {
            let members = self.node.confirmed_for(conversation, self.user()).await?;
            self.node.check_blocks(&members, self.user()).await?;
            if members.list.len() <= MAX_TYPING_MEMBERS {
                let user = self.user().clone();
                let body = EventBody::Typing {
                    conversation,
                    user,
                    active,
                };
                let origin = Some(self.core.id.clone());
                self.node
                    .tell_conversation(conversation, members.epoch, body, origin);
            }
            Ok(())
        })
        .await
    }

    /// Whether the other members are there; of a conversation of more than [`MAX_PRESENCE`], the
    /// first ones by id.
    ///
    /// # Errors
    /// `NotFound`; transient ones.
    pub async fn presence(&self, conversation: ConversationId) -> Result<Vec<(UserId, Presence)>> {
        self.request(async {
            let members = self.node.members_for(conversation, self.user()).await?;
            let others = members.list.keys().filter(|user| *user != self.user());
            let users: Vec<_> = others.take(MAX_PRESENCE).cloned().collect();
            let presence = self.node.ports.registry.presence(users.clone()).await?;
            // Who was taken out or blocked meanwhile is told nothing, and of nobody.
            let members = self.node.members_for(conversation, self.user()).await?;
            self.node.check_blocks(&members, self.user()).await?;
            let mut others: Vec<_> = users.into_iter().zip(presence).collect();
            others.retain(|(user, _)| members.get(user).is_some());
            Ok(others)
        })
        .await
    }

    /// Blocks a user: neither says anything to the other in their direct conversation, and neither
    /// brings the other into a group. Who is in a group already stays there.
    ///
    /// # Errors
    /// `LimitReached` at [`MAX_BLOCKS_PER_USER`](crate::model::limits::MAX_BLOCKS_PER_USER);
    /// transient ones.
    pub async fn block(&self, other: UserId) -> Result<()> {
        if other == *self.user() {
            return Err(Error::new(ErrorKind::Invalid, "nobody blocks themselves"));
        }
        self.request(async {
            self.node
                .ports
                .store
                .block(self.user().clone(), other.clone())
                .await?;
            self.blocks_changed(other);
            Ok(())
        })
        .await
    }

    /// Ends a block.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn unblock(&self, other: UserId) -> Result<()> {
        self.request(async {
            self.node
                .ports
                .store
                .unblock(self.user().clone(), other.clone())
                .await?;
            self.blocks_changed(other);
            Ok(())
        })
        .await
    }

    /// Whom this user blocks.
    ///
    /// # Errors
    /// Transient ones.
    pub async fn blocks(&self) -> Result<Vec<UserId>> {
        self.request(self.node.ports.store.blocks(self.user().clone()))
            .await
    }

    fn blocks_changed(&self, other: UserId) {
        self.node.blocks.forget(self.user(), &other);
        let audience = Audience::Blocks(self.user().clone(), other);
        // Nobody is told; the nodes look it up again.
        let event = EventBody::Heads { heads: Vec::new() }.into();
        self.node.publish(
            LiveEvent {
                audience,
                origin: None,
                event,
            },
            To::All,
        );
    }

    async fn request<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.node.admit(&self.core)?;
        self.node.bounded(work).await
    }
}

impl Stream for Session {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let session = self.get_mut();
        if let Some(event) = session.next.pop_front() {
            return Poll::Ready(Some(event));
        }
        match session.core.queue.poll_drain(cx, &mut session.buffer) {
            Poll::Ready(true) => {
                session.next.extend(session.buffer.drain(..));
                Poll::Ready(session.next.pop_front())
            }
            Poll::Ready(false) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.node.end_session(&self.core);
        let ended = (self.core.user.clone(), self.core.id.clone());
        if self.node.unregister.try_send(ended).is_err() && !self.node.stop.is_cancelled() {
            tracing::debug!(session = ?self.core.id, "stays registered until the node's lease ends");
        }
    }
}
