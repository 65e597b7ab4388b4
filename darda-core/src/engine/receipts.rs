//! Marks: gathered for a moment, written, and only then passed on, so that what was told never goes
//! back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::node::{Backoff, Node};
use super::registered::SessionCore;
use super::surface::Mark;
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::MAX_CLOCK_LEAD;
use crate::model::{ConversationId, ConversationKind, Marks, Position, UserId};
use crate::ports::{EventBody, MarkUpdate, ReceiptChange};

/// Marks that wait; at the limit further ones are refused as `busy`.
const MAX_PENDING: usize = 100_000;

type Pending = BTreeMap<ConversationId, BTreeMap<UserId, Marks>>;

#[derive(Debug, Default)]
pub(crate) struct Receipts {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Pending,
    count: usize,
}

impl Receipts {
    fn add(&self, conversation: ConversationId, user: UserId, marks: Marks) -> bool {
        let mut state = self.state.lock();
        let State { pending, count } = &mut *state;
        let full = *count >= MAX_PENDING;
        let users = pending.entry(conversation).or_default();
        match users.get_mut(&user) {
            Some(known) => *known = known.max(marks),
            None if full => {
                if users.is_empty() {
                    pending.remove(&conversation);
                }
                return false;
            }
            None => {
                *count += 1;
                users.insert(user, marks);
            }
        }
        drop(state);
        self.arrived.notify_one();
        true
    }

    fn take(&self) -> Pending {
        let mut state = self.state.lock();
        state.count = 0;
        std::mem::take(&mut state.pending)
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
        self.confirmed_for(conversation, &session.user).await?;
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
        if self.receipts.add(conversation, session.user.clone(), marks) {
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

    /// Writes marks of a conversation and tells them.
    async fn settle_marks(
        self: &Arc<Self>,
        conversation: ConversationId,
        users: &BTreeMap<UserId, Marks>,
    ) -> Result<()> {
        let copy = self.remembered(conversation);
        let members = match copy {
            Some(copy) if copy.kind == ConversationKind::Direct => copy,
            copy => {
                let epochs = self.ports.cache.epochs(vec![conversation]).await?;
                let epoch = epochs.first().copied().flatten();
                match copy {
                    Some(copy) if epoch == Some(copy.epoch) => copy,
                    _ => match self.load_members(conversation).await? {
                        Some(members) => members,
                        None => return Ok(()),
                    },
                }
            }
        };
        let changes: Vec<_> = users
            .iter()
            .filter(|(user, _)| members.get(user).is_some())
            .map(|(user, marks)| ReceiptChange {
                user: user.clone(),
                marks: *marks,
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let updates = changes
            .iter()
            .map(|change| MarkUpdate {
                conversation,
                user: change.user.clone(),
                marks: change.marks,
            })
            .collect();
        self.ports.store.mark(updates).await?;
        let body = EventBody::Receipts {
            conversation,
            changes,
        };
        self.tell_conversation(conversation, members.epoch, body, None);
        Ok(())
    }
}

pub(crate) async fn run(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    loop {
        let stopping = tokio::select! {
            biased;
            () = node.stop.cancelled() => true,
            () = node.receipts.arrived.notified() => false,
        };
        if !stopping {
            node.pause(node.options.receipt_window).await;
        }
        let mut failed = false;
        for (conversation, users) in node.receipts.take() {
            match node.bounded(node.settle_marks(conversation, &users)).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    failed = true;
                    for (user, marks) in users {
                        if !node.receipts.add(conversation, user, marks) {
                            tracing::warn!(%conversation, "a mark is lost: too many wait");
                        }
                    }
                }
                Err(error) => tracing::error!(%conversation, %error, "marks not written"),
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
