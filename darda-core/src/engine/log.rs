//! Attach, history, resume.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::time::Instant;

use super::node::Node;
use super::reading::{Reading, visible_from};
use super::registered::SessionCore;
use super::surface::{Attached, CatchUp, Page};
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::{
    DEFAULT_PAGE, MAX_PAGE, MAX_RESUME, MAX_RESUME_BYTES, MAX_RESUME_ENTRIES,
};
use crate::model::{ConversationId, Position};
use crate::ports::Range;

/// Conversations of a resume that are read at once; fewer once their pages turn out to be large.
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
        let cursors = lowest(cursors);
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
        let (mut entries, mut bytes, mut largest) = (0, 0, 0);
        let mut reads = FuturesOrdered::new();
        loop {
            while reads.len() < READ_AT_ONCE
                && entries + reads.len() * MAX_PAGE < MAX_RESUME_ENTRIES
                && bytes + reads.len() * largest < MAX_RESUME_BYTES
                && let Some((conversation, cursor)) = changed.next()
            {
                reads.push_back(async move {
                    let attached = self.attach(session, conversation, Some(cursor)).await;
                    (conversation, cursor, attached)
                });
            }
            let Some((conversation, cursor, mut outcome)) = reads.next().await else {
                break;
            };
            if let Ok(attached) = &mut outcome {
                let weight = attached.entries.iter().map(|entry| entry.body.weight());
                let weight = weight.sum();
                bytes += weight;
                largest = largest.max(weight);
                if bytes > MAX_RESUME_BYTES && !attached.entries.is_empty() {
                    *attached = to_be_attached(cursor);
                }
                entries += attached.entries.len();
            }
            if !matches!(&outcome, Ok(attached) if attached.entries.is_empty()
                && attached.catch_up == CatchUp::Complete)
            {
                answers.push((conversation, outcome));
            }
        }
        // The rest would make the answer too large.
        answers.extend(
            changed.map(|(conversation, cursor)| (conversation, Ok(to_be_attached(cursor)))),
        );
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
            Some(_) if !reading.stale || (reading.entries.is_empty() && reading.more) => {
                Err(Error::unavailable("a part of the page cannot be read now"))
            }
            _ => Ok(Page {
                entries: reading.entries,
                more: reading.more,
                stale: reading.stale,
            }),
        }
    }
}

/// Each conversation once, where it is named first, with the lowest of its cursors.
fn lowest(cursors: Vec<(ConversationId, Position)>) -> Vec<(ConversationId, Position)> {
    let mut lowest = BTreeMap::new();
    for (conversation, cursor) in &cursors {
        let known = lowest.entry(*conversation).or_insert(*cursor);
        *known = (*known).min(*cursor);
    }
    let named = cursors.into_iter();
    named
        .filter_map(|(conversation, _)| lowest.remove_entry(&conversation))
        .collect()
}

/// Says of a conversation that it is to be attached by itself.
fn to_be_attached(cursor: Position) -> Attached {
    Attached {
        entries: Vec::new(),
        catch_up: CatchUp::Gap {
            after: cursor,
            before: None,
        },
        head: None,
        stale: false,
    }
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
