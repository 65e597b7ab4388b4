//! Reading a log: what the cache holds of it joined with what the store holds.
//!
//! The cache is read first: what leaves its outbox afterwards is in the store by then, so that
//! nothing falls between the two. What was appended after that is left out, since the store may have
//! it before what is older. The store is left out where `prev` proves that the window alone is
//! whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::node::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ConversationId, ConversationKind, Entry, EntryId, Members, Position, UserId};
use crate::ports::{Range, Recent};

/// Attempts at a reading that membership changes overtake.
const MAX_ATTEMPTS: usize = 4;

/// A stretch of a log.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Ascending.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Whether there is more in the range's direction.
    pub(crate) more: bool,
    /// What could not be read: after the one position, before the other.
    pub(crate) missing: Option<(Position, Option<Position>)>,
    pub(crate) head: Option<Position>,
    pub(crate) stale: bool,
}

impl Node {
    /// Reads what a user may see of a stretch: at most `limit` entries nearest to the end point.
    pub(crate) async fn read(
        self: &Arc<Self>,
        conversation: ConversationId,
        user: &UserId,
        asked: Range,
        limit: usize,
    ) -> Result<Reading> {
        for _ in 0..MAX_ATTEMPTS {
            let (copy, _) = self.copy_for(conversation, user).await?;
            let visible_from = visible_from(&copy, user)?;
            let range = clamp(asked, visible_from);
            let recent = match self
                .ports
                .cache
                .recent(conversation, range, limit + 1)
                .await
            {
                Ok(recent) => Some(recent),
                Err(error) if error.is_transient() => None,
                Err(error) => return Err(error),
            };
            let confirmed = copy.kind == ConversationKind::Direct
                || recent.as_ref().and_then(|recent| recent.epoch) == Some(copy.epoch);
            let members = if confirmed {
                copy
            } else {
                self.members_for(conversation, user).await?
            };
            if self::visible_from(&members, user)? != visible_from {
                continue;
            }
            let joined = self.join(conversation, range, limit, visible_from, recent);
            let Some(reading) = joined.await? else {
                continue;
            };
            let newest = reading.entries.iter().map(|entry| entry.epoch).max();
            if members.kind == ConversationKind::Group
                && newest.is_some_and(|epoch| epoch > members.epoch)
            {
                // Appended after the membership that was checked: check again.
                self.members_for(conversation, user).await?;
                continue;
            }
            return Ok(reading);
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the conversation changes too fast, try again",
        ))
    }

    /// What stands from `from` on: neither the entries nor `more` show what is before it. `None` if
    /// the log was begun anew meanwhile: read again.
    async fn join(
        self: &Arc<Self>,
        conversation: ConversationId,
        range: Range,
        limit: usize,
        from: Position,
        mut recent: Option<Recent>,
    ) -> Result<Option<Reading>> {
        if let Some(recent) = &recent
            && proven(range, limit, recent)
        {
            let mut entries = recent.entries.clone();
            let more = cut(range, limit, from, &mut entries);
            return Ok(Some(Reading {
                entries,
                more,
                missing: None,
                head: recent.head,
                stale: false,
            }));
        }
        let page = self.ports.store.page(conversation, range, limit + 1).await;
        if recent.as_ref().is_some_and(|recent| recent.last.is_none())
            && page.as_ref().is_ok_and(|page| !page.is_empty())
        {
            // If still nothing was appended, the page is not past the log's end.
            match self.ports.cache.recent(conversation, range, 0).await {
                Ok(now) if now.last.is_none() => {}
                Ok(_) => return Ok(None),
                Err(error) if error.is_transient() => recent = None,
                Err(error) => return Err(error),
            }
        }
        let reading = match (recent, page) {
            (Some(recent), Ok(page)) => {
                for (entry, stands) in outdated(&recent, &page) {
                    self.take_back(&entry, Some(stands)).await?;
                }
                Ok(merge(range, limit, from, recent, page))
            }
            (None, Ok(page)) => Ok(stored_only(range, limit, from, page)),
            (Some(recent), Err(error)) if error.is_transient() => {
                recent_only(range, limit, from, recent).ok_or(error)
            }
            (_, Err(error)) => Err(error),
        };
        reading.map(Some)
    }
}

pub(crate) fn visible_from(members: &Members, user: &UserId) -> Result<Position> {
    members
        .get(user)
        .map(|member| member.visible_from)
        .ok_or_else(Error::not_found)
}

fn clamp(range: Range, visible_from: Position) -> Range {
    match range {
        Range::After(cursor) => {
            Range::After(cursor.max(Position(visible_from.0.saturating_sub(1))))
        }
        Range::Before(_) => range,
    }
}

/// Cuts ascending entries to those of a page that stand from `from` on. Returns whether there were more of
/// them.
fn cut(range: Range, limit: usize, from: Position, entries: &mut Vec<Arc<Entry>>) -> bool {
    entries.retain(|entry| entry.position >= from);
    let more = entries.len() > limit;
    range.cut(entries, limit);
    more
}

/// Whether the second of two entries names the first as its `prev`.
fn follows(pair: &[Arc<Entry>]) -> bool {
    pair[1].prev == Some(pair[0].position)
}

/// Whether each entry names the one before it as its `prev`.
fn chained(entries: &[Arc<Entry>]) -> bool {
    entries.windows(2).all(follows)
}

/// Whether the cache's part is the whole.
fn proven(range: Range, limit: usize, recent: &Recent) -> bool {
    let entries = &recent.entries;
    let full = entries.len() > limit;
    let to_the_head =
        recent.head.is_some() && entries.last().map(|last| last.position) == recent.head;
    match range {
        Range::After(cursor) => match entries.first() {
            Some(first) => {
                (full || to_the_head)
                    && first.prev.is_some_and(|prev| prev <= cursor)
                    && chained(entries)
            }
            None => recent.head.is_some_and(|head| head <= cursor),
        },
        Range::Before(_) => range == Range::NEWEST && full && to_the_head && chained(entries),
    }
}

fn positions(page: &[Arc<Entry>]) -> HashMap<EntryId, Position> {
    let position = |entry: &Arc<Entry>| (entry.id, entry.position);
    page.iter().map(position).collect()
}

/// Entries of the cache that stand further on: a copy was promoted that does not know of their move.
fn outdated(recent: &Recent, page: &[Arc<Entry>]) -> Vec<(Arc<Entry>, Position)> {
    let stored = positions(page);
    let moved = |entry: &Arc<Entry>| {
        let stands = *stored.get(&entry.id)?;
        (stands > entry.position).then(|| (entry.clone(), stands))
    };
    recent.entries.iter().filter_map(moved).collect()
}

fn merge(
    range: Range,
    limit: usize,
    from: Position,
    recent: Recent,
    page: Vec<Arc<Entry>>,
) -> Reading {
    // Beyond the far end of a source that is full there may be more of it: what the other one holds
    // there has holes.
    let far_end = |entries: &[Arc<Entry>]| {
        let end = match range {
            Range::After(_) => entries.last(),
            Range::Before(_) => entries.first(),
        };
        end.filter(|_| entries.len() > limit)
            .map(|entry| entry.position)
    };
    let ends = [far_end(&recent.entries), far_end(&page)];
    let whole = |position: Position| {
        ends.iter().flatten().all(|end| match range {
            Range::After(_) => position <= *end,
            Range::Before(_) => position >= *end,
        })
    };
    let stored = positions(&page);
    // An entry that was appended again: the writer is about to decide which position stands.
    let undecided = recent
        .entries
        .iter()
        .filter_map(|entry| {
            let stands = *stored.get(&entry.id)?;
            (stands < entry.position).then_some(stands)
        })
        .min();
    let end = recent.last.unwrap_or(Position(u64::MAX));
    let window = recent.entries.into_iter();
    let window = window.filter(|entry| !stored.contains_key(&entry.id));
    let joined: BTreeMap<_, _> = window
        .chain(page)
        .map(|entry| (entry.position, entry))
        .collect();
    let mut entries: Vec<_> = joined
        .into_values()
        .filter(|entry| whole(entry.position) && entry.position <= end)
        .collect();
    let goes_on = ends.iter().flatten().any(|end| *end >= from);
    let mut more = cut(range, limit, from, &mut entries) || goes_on;
    let missing = undecided.map(|position| {
        more = true;
        if let Range::After(cursor) = range {
            entries.retain(|entry| entry.position < position);
            (entries.last().map_or(cursor, |last| last.position), None)
        } else {
            (Position(position.0.saturating_sub(1)), None)
        }
    });
    Reading {
        entries,
        more,
        missing,
        head: recent.head,
        stale: false,
    }
}

/// What can be said while the cache is away. The store may have an entry before it has what was appended
/// before it: whoever moves a cursor along ends before the first such place.
fn stored_only(range: Range, limit: usize, from: Position, mut page: Vec<Arc<Entry>>) -> Reading {
    let mut more = cut(range, limit, from, &mut page);
    let forward = matches!(range, Range::After(_));
    let start = match range {
        Range::After(cursor) => Some(cursor),
        // From the log's beginning on, as the user sees it.
        Range::Before(_) => (!more).then(|| Position(from.0.saturating_sub(1))),
    };
    let newest = page.last().filter(|_| !(forward && more));
    let head = newest.map(|entry| entry.position);
    let whole = whole(start, &page);
    let hole = whole < page.len() && (forward || range == Range::NEWEST);
    if hole {
        page.truncate(whole);
        more |= forward || page.is_empty();
    }
    let last = page.last().map(|entry| entry.position);
    let missing = (forward || hole).then(|| (last.or(start).unwrap_or_default(), None));
    Reading {
        entries: page,
        more,
        missing,
        head,
        stale: true,
    }
}

/// How many entries follow each other, the first one whatever is at the start, without a hole.
fn whole(start: Option<Position>, entries: &[Arc<Entry>]) -> usize {
    let begins = |first: &Arc<Entry>| match (first.prev, start) {
        (_, None) => true,
        (Some(prev), Some(start)) => prev <= start,
        (None, Some(start)) => start == Position(0),
    };
    if entries.first().is_some_and(begins) {
        1 + entries.windows(2).take_while(|pair| follows(pair)).count()
    } else {
        0
    }
}

/// What can be said while the store is away; `None` if nothing.
fn recent_only(range: Range, limit: usize, from: Position, recent: Recent) -> Option<Reading> {
    let mut entries = recent.entries;
    entries.retain(|entry| entry.position >= from);
    if let Range::After(_) = range
        && entries.len() > limit
    {
        // The newest are not among them: their beginning is of no use without what is before it.
        entries.clear();
    }
    let start = (1..entries.len())
        .rev()
        .find(|at| !follows(&entries[at - 1..=*at]))
        .unwrap_or(0);
    entries.drain(..start);
    Range::NEWEST.cut(&mut entries, limit);
    let missing = match range {
        Range::After(cursor) => Some((cursor, entries.first().map(|entry| entry.position))),
        Range::Before(_) if range != Range::NEWEST || entries.is_empty() => return None,
        Range::Before(_) => None,
    };
    let more = entries.first().is_none_or(|first| first.position > from);
    Some(Reading {
        entries,
        more,
        missing,
        head: recent.head,
        stale: false,
    })
}
