//! Marks: gathered for a moment, written, and only then passed on, so that what was told never goes
//! back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::node::{Backoff, Node};
use super::registered::SessionCore;
use super::surface::Mark;
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::MAX_CLOCK_LEAD;
use crate::model::{ConversationId, ConversationKind, Epoch, Marks, Members, Position, UserId};
use crate::ports::{EventBody, MarkUpdate, ReceiptChange};

/// Marks that wait; at the limit further ones are refused as `busy`.
const MAX_PENDING: usize = 100_000;
/// Members of a conversation up to which its marks are gathered for the receipt window. For more they are
/// gathered longer in proportion, since each of them is told: a message in a group of 500 is marked 500
/// times, and once a second is soon enough to hear of it.
const SMALL: usize = 50;
/// Receipt windows for which marks are gathered at the most.
const MOST_WINDOWS: usize = 20;
/// Conversations whose epochs are asked for at once.
const ASKED: usize = 500;
/// Members that are loaded at a time.
const LOADS: usize = 16;
/// Marks that are worth a call of the store: no further conversation's are added to them.
const WORTH: usize = 250;

type Users = BTreeMap<UserId, Marks>;

#[derive(Debug, Default)]
pub(crate) struct Receipts {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: BTreeMap<ConversationId, Gathered>,
    count: usize,
}

/// Marks of a conversation that are written from a time on.
#[derive(Debug)]
struct Gathered {
    from: Instant,
    users: Users,
}

impl Receipts {
    /// Adds a mark. The first of a conversation says from when on they are written. Returns whether there
    /// was room.
    fn add(&self, conversation: ConversationId, user: UserId, marks: Marks, from: Instant) -> bool {
        let mut state = self.state.lock();
        let State { pending, count } = &mut *state;
        let full = *count >= MAX_PENDING;
        let gathered = pending.entry(conversation).or_insert_with(|| Gathered {
            from,
            users: Users::new(),
        });
        match gathered.users.get_mut(&user) {
            Some(known) => *known = known.max(marks),
            None if full => {
                if gathered.users.is_empty() {
                    pending.remove(&conversation);
                }
                return false;
            }
            None => {
                *count += 1;
                gathered.users.insert(user, marks);
            }
        }
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// What is to be written by now; all if the node stops.
    fn take(&self, now: Instant, all: bool) -> Vec<(ConversationId, Users)> {
        let mut state = self.state.lock();
        let due = |_: &ConversationId, gathered: &mut Gathered| all || gathered.from <= now;
        let due = state.pending.extract_if(.., due);
        let due: Vec<_> = due.map(|(of, gathered)| (of, gathered.users)).collect();
        state.count -= due.iter().map(|(_, users)| users.len()).sum::<usize>();
        due
    }

    /// Comes when marks wait.
    async fn wait(&self) {
        while self.len() == 0 {
            self.arrived.notified().await;
        }
    }

    fn len(&self) -> usize {
        self.state.lock().count
    }
}

impl Node {
    pub(crate) async fn mark(
        &self,
        session: &SessionCore,
        conversation: ConversationId,
        mark: Mark,
    ) -> Result<()> {
        let (Mark::Delivered(position) | Mark::Seen(position)) = mark;
        let lead = u64::try_from(MAX_CLOCK_LEAD.as_micros()).unwrap_or(u64::MAX);
        if position > Position(self.options.clock.now_us().saturating_add(lead)) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a mark cannot lie in the future",
            ));
        }
        let members = self.confirmed_for(conversation, &session.user).await?;
        let marks = match mark {
            Mark::Delivered(delivered) => Marks {
                delivered,
                seen: Position::default(),
            },
            Mark::Seen(seen) => Marks {
                delivered: seen,
                seen,
            },
        };
        let windows = (members.list.len() / SMALL).clamp(1, MOST_WINDOWS) as u32;
        let more = self.options.receipt_window * (windows - 1);
        let (user, from) = (session.user.clone(), Instant::now() + more);
        if self.receipts.add(conversation, user, marks, from) {
            self.instruments
                .receipts_pending
                .set(self.receipts.len() as f64);
            Ok(())
        } else {
            Err(
                Error::new(ErrorKind::Busy, "too many marks wait to be written")
                    .with_retry_after(Duration::from_secs(1)),
            )
        }
    }

    /// How far the members have come, told to one of them.
    pub(crate) async fn marks_of(
        self: &Arc<Self>,
        conversation: ConversationId,
        user: &UserId,
    ) -> Result<Vec<(UserId, Marks)>> {
        // The members last: who was taken out meanwhile is told nothing.
        let mut marks = self.ports.store.marks(conversation).await?;
        let members = self.members_for(conversation, user).await?;
        marks.retain(|(user, _)| members.get(user).is_some());
        Ok(marks)
    }

    /// Writes marks and tells them. Returns those that are to be tried again.
    async fn settle_marks(
        self: &Arc<Self>,
        due: Vec<(ConversationId, Users)>,
    ) -> Vec<(ConversationId, Users)> {
        let mut again = Vec::new();
        let (mut batch, mut count) = (Vec::new(), 0);
        let mut due = due.into_iter().peekable();
        while due.peek().is_some() {
            let asked: Vec<_> = due.by_ref().take(ASKED).collect();
            let conversations = asked.iter().map(|(conversation, _)| *conversation);
            let members = self.members_of(conversations.collect()).await;
            for (of, members) in asked.into_iter().zip(members) {
                match members {
                    Ok(Some(members)) => {
                        let marks = MarksOf::new(&members, of.1);
                        count += marks.changes.len();
                        batch.push(marks);
                        if count >= WORTH {
                            count = 0;
                            let batch = std::mem::take(&mut batch);
                            again.extend(self.write_marks(batch).await);
                        }
                    }
                    Ok(None) => {}
                    Err(error) if error.is_transient() => again.push(of),
                    Err(error) => {
                        tracing::error!(conversation = %of.0, %error, "marks not written")
                    }
                }
            }
        }
        again.extend(self.write_marks(batch).await);
        again
    }

    /// The members whose epochs the cache confirms, in the order asked.
    async fn members_of(
        &self,
        conversations: Vec<ConversationId>,
    ) -> Vec<Result<Option<Arc<Members>>>> {
        let copies: Vec<_> = conversations
            .iter()
            .map(|conversation| self.remembered(*conversation))
            .collect();
        let in_doubt: Vec<_> = conversations
            .iter()
            .zip(&copies)
            .filter(|(_, copy)| !copy.as_ref().is_some_and(|copy| is_direct(copy)))
            .map(|(conversation, _)| *conversation)
            .collect();
        let epochs = if in_doubt.is_empty() {
            Ok(Vec::new())
        } else {
            self.bounded(self.ports.cache.epochs(in_doubt.clone()))
                .await
        };
        let epochs = epochs.map(|epochs| in_doubt.into_iter().zip(epochs).collect());
        let epochs: &Result<BTreeMap<_, _>> = &epochs;
        stream::iter(conversations.into_iter().zip(copies))
            .map(|(conversation, copy)| async move {
                match (copy, epochs) {
                    (Some(copy), _) if is_direct(&copy) => Ok(Some(copy)),
                    (_, Err(error)) => Err(error.clone()),
                    (Some(copy), Ok(epochs))
                        if epochs.get(&conversation) == Some(&Some(copy.epoch)) =>
                    {
                        Ok(Some(copy))
                    }
                    _ => self.bounded(self.load_members(conversation)).await,
                }
            })
            .buffered(LOADS)
            .collect()
            .await
    }

    /// Writes marks in one call and tells them. Returns those that are to be tried again.
    async fn write_marks(self: &Arc<Self>, batch: Vec<MarksOf>) -> Vec<(ConversationId, Users)> {
        let updates: Vec<_> = batch.iter().flat_map(MarksOf::updates).collect();
        if updates.is_empty() {
            return Vec::new();
        }
        match self.bounded(self.ports.store.mark(updates)).await {
            Ok(()) => {
                for marks in batch {
                    marks.tell(self);
                }
                Vec::new()
            }
            Err(error) if error.is_transient() => batch.into_iter().map(MarksOf::again).collect(),
            Err(error) => {
                tracing::error!(%error, "marks not written");
                Vec::new()
            }
        }
    }
}

fn is_direct(members: &Members) -> bool {
    members.kind == ConversationKind::Direct
}

/// Marks of a conversation's members.
struct MarksOf {
    conversation: ConversationId,
    epoch: Epoch,
    changes: Vec<ReceiptChange>,
}

impl MarksOf {
    fn new(members: &Members, users: Users) -> Self {
        let changes = users
            .into_iter()
            .filter(|(user, _)| members.get(user).is_some())
            .map(|(user, marks)| ReceiptChange { user, marks });
        Self {
            conversation: members.conversation,
            epoch: members.epoch,
            changes: changes.collect(),
        }
    }

    fn updates(&self) -> impl Iterator<Item = MarkUpdate> {
        self.changes.iter().map(|change| MarkUpdate {
            conversation: self.conversation,
            user: change.user.clone(),
            marks: change.marks,
        })
    }

    fn tell(self, node: &Arc<Node>) {
        let Self {
            conversation,
            epoch,
            changes,
        } = self;
        if !changes.is_empty() {
            let body = EventBody::Receipts {
                conversation,
                changes,
            };
            node.tell_conversation(conversation, epoch, body, None);
        }
    }

    fn again(self) -> (ConversationId, Users) {
        let users = self.changes.into_iter();
        let users = users.map(|change| (change.user, change.marks));
        (self.conversation, users.collect())
    }
}

pub(crate) async fn run(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    // Messages come first: however many marks there are, half of the time is left to the store.
    let mut rest = Duration::ZERO;
    loop {
        let stopping = tokio::select! {
            biased;
            () = node.stop.cancelled() => true,
            () = node.receipts.wait() => false,
        } || !node.pause(node.options.receipt_window.max(rest)).await;
        let began = Instant::now();
        let due = node.receipts.take(began, stopping);
        let again = node.settle_marks(due).await;
        rest = began.elapsed();
        let failed = !again.is_empty();
        for (conversation, users) in again {
            for (user, marks) in users {
                if !node.receipts.add(conversation, user, marks, began) {
                    tracing::warn!(%conversation, "a mark is lost: too many wait");
                }
            }
        }
        node.instruments
            .receipts_pending
            .set(node.receipts.len() as f64);
        if stopping {
            return;
        }
        if !failed {
            backoff.reset();
        } else if !node.pause(backoff.next()).await {
            continue;
        }
    }
}
