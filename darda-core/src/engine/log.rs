//! Attach, history, resume, and the list of conversations.

use std::cmp::Reverse;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::time::Instant;

use super::node::Node;
use super::reading::{Reading, visible_from};
use super::registered::SessionCore;
use super::surface::{Attached, CatchUp, ConversationSummary, Page, Unread};
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::{
    DEFAULT_PAGE, MAX_LIST_PAGE, MAX_PAGE, MAX_RESUME, MAX_RESUME_ENTRIES, MAX_UNREAD,
};
use crate::model::{ConversationId, ConversationKind, Position};
use crate::ports::{Head, Membership, Range};

/// Conversations of a resume or a list that are read at once.
const READ_AT_ONCE: usize = 16;

impl Node {
    /// Subscribes, then reads: what is appended in between comes twice rather than never.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        conversation: ConversationId,
        cursor: Option<Position>,
    ) -> Result<Attached> {
        let start = Instant::now();
        let (members, _) = self.copy_for(conversation, &session.user).await?;
        let from = visible_from(&members, &session.user)?;
        self.subscribe(session, conversation, from, members.epoch);
        let (range, limit) = match cursor {
            Some(cursor) => (Range::After(cursor), MAX_PAGE),
            None => (Range::NEWEST, DEFAULT_PAGE),
        };
        let reading = match self.read(conversation, &session.user, range, limit).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.reload(conversation);
                return Err(error);
            }
            reading => reading?,
        };
        let attached = attached(cursor, reading);
        match attached.catch_up {
            CatchUp::Gap {
                before: Some(_), ..
            } => {}
            CatchUp::Gap { .. } if cursor.is_none() => {}
            _ => {
                if let Some(last) = attached.entries.last().map(|entry| entry.position) {
                    let hub = self.hubs.lock().get(&conversation).cloned();
                    if let Some(hub) = hub {
                        hub.attached(&session.id, last);
                    }
                    session.queue.drop_attached(conversation, last);
                }
            }
        }
        if attached.catch_up != CatchUp::Complete {
            self.instruments.gaps.increment(1);
        }
        self.instruments
            .attach_seconds
            .record(start.elapsed().as_secs_f64());
        Ok(attached)
    }

    pub(crate) async fn resume(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        cursors: Vec<(ConversationId, Position)>,
    ) -> Result<Vec<(ConversationId, Result<Attached>)>> {
        crate::model::within("cursors", cursors.len(), MAX_RESUME)?;
        let ids = cursors
            .iter()
            .map(|(conversation, _)| *conversation)
            .collect();
        let heads = match self.ports.cache.heads(ids).await {
            Ok(heads) => heads,
            Err(error) if error.is_transient() => vec![None; cursors.len()],
            Err(error) => return Err(error),
        };
        let subscribed = session.conversations();
        let mut changed = cursors
            .into_iter()
            .zip(heads)
            .filter(|((conversation, cursor), head)| {
                !subscribed.contains(conversation)
                    || head.as_ref().map(|head| head.position) != Some(*cursor)
            })
            .map(|(cursor, _)| cursor);
        let mut answers = Vec::new();
        let mut entries = 0;
        let mut reads = FuturesOrdered::new();
        loop {
            while reads.len() < READ_AT_ONCE
                && entries + reads.len() * MAX_PAGE < MAX_RESUME_ENTRIES
                && let Some((conversation, cursor)) = changed.next()
            {
                reads.push_back(async move {
                    (
                        conversation,
                        self.attach(session, conversation, Some(cursor)).await,
                    )
                });
            }
            let Some((conversation, outcome)) = reads.next().await else {
                break;
            };
            entries += outcome
                .as_ref()
                .map_or(0, |attached| attached.entries.len());
            if !matches!(&outcome, Ok(attached) if attached.entries.is_empty()
                && attached.catch_up == CatchUp::Complete)
            {
                answers.push((conversation, outcome));
            }
        }
        // The rest would make the answer too large: each says that it is to be attached by itself.
        answers.extend(changed.map(|(conversation, cursor)| {
            let catch_up = CatchUp::Gap {
                after: cursor,
                before: None,
            };
            let rest = Attached {
                entries: Vec::new(),
                catch_up,
                head: None,
                stale: false,
            };
            (conversation, Ok(rest))
        }));
        Ok(answers)
    }

    pub(crate) async fn history(
        self: &Arc<Self>,
        session: &SessionCore,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Page> {
        if limit == 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a page holds at least one entry",
            ));
        }
        let limit = limit.min(MAX_PAGE);
        let reading = self.read(conversation, &session.user, range, limit).await?;
        match reading.missing {
            // A page with a hole is none.
            Some(_) if !reading.stale => {
                Err(Error::unavailable("a part of the page cannot be read now"))
            }
            _ => Ok(Page {
                entries: reading.entries,
                more: reading.more,
                stale: reading.stale,
            }),
        }
    }

    pub(crate) async fn conversations(
        self: &Arc<Self>,
        session: &SessionCore,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<ConversationSummary>> {
        if limit == 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a page holds at least one conversation",
            ));
        }
        let memberships = self.ports.store.memberships(session.user.clone()).await?;
        let mut known = self.with_heads(memberships).await;
        known.retain(|(membership, head)| {
            before.is_none_or(|before| sort_key(membership, head.as_ref()) < before)
        });
        known.sort_by_key(|(membership, head)| {
            (
                Reverse(sort_key(membership, head.as_ref())),
                membership.conversation,
            )
        });
        known.truncate(limit.min(MAX_LIST_PAGE));
        let summaries = known
            .into_iter()
            .map(|(membership, head)| self.summary(session, membership, head));
        let mut reads = futures::stream::iter(summaries).buffered(READ_AT_ONCE);
        let mut list = Vec::new();
        while let Some(summary) = reads.next().await {
            list.push(summary?);
        }
        Ok(list)
    }

    /// Memberships with the newest of both heads: the writer's and the cache's.
    pub(crate) async fn with_heads(
        &self,
        memberships: Vec<Membership>,
    ) -> Vec<(Membership, Option<Head>)> {
        let ids = memberships
            .iter()
            .map(|membership| membership.conversation)
            .collect();
        let cached = self.ports.cache.heads(ids).await;
        let cached = cached.unwrap_or_else(|_| vec![None; memberships.len()]);
        let newest = |(membership, cached): (Membership, Option<Head>)| {
            let head = match (membership.head.clone(), cached) {
                (Some(stored), Some(cached)) => Some(stored.max(cached)),
                (stored, cached) => stored.or(cached),
            };
            (membership, head)
        };
        memberships.into_iter().zip(cached).map(newest).collect()
    }

    async fn summary(
        self: &Arc<Self>,
        session: &SessionCore,
        membership: Membership,
        head: Option<Head>,
    ) -> Result<ConversationSummary> {
        let conversation = membership.conversation;
        let position = head.as_ref().map(|head| head.position);
        let seen = membership.marks.seen;
        let unread = match position {
            Some(position) if position > seen => {
                match session.unread(conversation, position, seen) {
                    Some(unread) => unread,
                    None => match self.count_unread(session, conversation, seen).await {
                        // The list comes without exact numbers rather than not at all.
                        Err(error)
                            if error.is_transient() || error.kind() == ErrorKind::NotFound =>
                        {
                            Unread {
                                count: 0,
                                more: true,
                            }
                        }
                        unread => {
                            let unread = unread?;
                            session.remember_unread(conversation, position, seen, unread);
                            unread
                        }
                    },
                }
            }
            _ => Unread::default(),
        };
        // What was appended under a later membership may be hidden from the user.
        let last_message = head.and_then(|head| head.last_message).filter(|entry| {
            entry.position >= membership.member.visible_from
                && (membership.kind == ConversationKind::Direct || entry.epoch <= membership.epoch)
        });
        Ok(ConversationSummary {
            conversation,
            kind: membership.kind,
            title: membership.title,
            peer: membership.peer,
            role: membership.member.role,
            head: position,
            last_message,
            marks: membership.marks,
            unread,
        })
    }

    async fn count_unread(
        self: &Arc<Self>,
        session: &SessionCore,
        conversation: ConversationId,
        seen: Position,
    ) -> Result<Unread> {
        let range = Range::After(seen);
        let reading = self
            .read(conversation, &session.user, range, MAX_UNREAD)
            .await?;
        let others = reading.entries.iter();
        let count = others
            .filter(|entry| entry.body.is_message() && entry.sender != session.user)
            .count();
        let more = reading.more || reading.missing.is_some();
        Ok(Unread {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            more,
        })
    }
}

/// Where a conversation stands in the list: at its newest entry, or where its membership began.
fn sort_key(membership: &Membership, head: Option<&Head>) -> Position {
    head.map_or(Position(membership.epoch.0), |head| head.position)
}

fn attached(cursor: Option<Position>, reading: Reading) -> Attached {
    let last = reading.entries.last().map(|entry| entry.position);
    let catch_up = match (reading.missing, cursor) {
        (Some((after, before)), _) => CatchUp::Gap { after, before },
        (None, Some(cursor)) if reading.more => CatchUp::Gap {
            after: last.unwrap_or(cursor),
            before: None,
        },
        _ => CatchUp::Complete,
    };
    let newest = if reading.more && cursor.is_some() {
        None
    } else {
        last
    };
    Attached {
        entries: reading.entries,
        catch_up,
        head: reading.head.max(newest),
        stale: reading.stale,
    }
}
