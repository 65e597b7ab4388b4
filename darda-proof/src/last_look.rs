//! What is read when all is quiet: the logs as they are stored, and each user's whole history.

use std::collections::BTreeMap;

use darda_core::model::{
    Body, ConversationId, Entry, EntryId, Epoch, Marks, MemberChange, Members, Message, Position,
    UserId,
};
use darda_sim::history::{DeviceNo, Log, Shown};

use crate::Result;
use crate::cast::{Cast, Talk};
use crate::system::Http;
use crate::wire;

/// Entries of a page.
const PAGE: usize = 200;

/// A page of what stands after a position. `None`: the user is no member.
async fn page(
    http: &mut Http,
    user: &UserId,
    conversation: ConversationId,
    after: u64,
) -> Result<Option<wire::Page>> {
    let path = format!("/v1/conversations/{conversation}/entries?after={after}&limit={PAGE}");
    http.read(user, &path).await
}

/// Whether an entry stands at a position or further on.
pub(crate) async fn holds(
    http: &mut Http,
    user: &UserId,
    conversation: ConversationId,
    from: Position,
    id: EntryId,
) -> Result<bool> {
    let mut after = from.0.saturating_sub(1);
    while let Some(page) = page(http, user, conversation, after).await? {
        if page.entries.iter().any(|it| it.entry == id) {
            return Ok(true);
        }
        match page.entries.last() {
            Some(last) if page.more => after = last.position.0,
            _ => break,
        }
    }
    Ok(false)
}

/// A whole history as a user reads it, from its beginning. `None`: the user is no member.
async fn whole(
    http: &mut Http,
    user: &UserId,
    conversation: ConversationId,
) -> Result<Option<Vec<wire::Entry>>> {
    let mut entries: Vec<wire::Entry> = Vec::new();
    let (mut after, mut stale) = (0, 0);
    loop {
        let Some(page) = page(http, user, conversation, after).await? else {
            return Ok(None);
        };
        if page.stale {
            stale += 1;
            if stale > 30 {
                return Err(format!("the history of {conversation} stays stale").into());
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            continue;
        }
        entries.extend(page.entries);
        match entries.last() {
            Some(last) if page.more => after = last.position.0,
            _ => return Ok(Some(entries)),
        }
    }
}

/// The logs with their members and marks, read as somebody who sees all.
pub(crate) async fn logs(http: &mut Http, cast: &Cast) -> Result<Vec<Log>> {
    let mut logs = Vec::new();
    for talk in &cast.talks {
        logs.push(log(http, cast, talk).await?);
    }
    Ok(logs)
}

async fn log(http: &mut Http, cast: &Cast, talk: &Talk) -> Result<Log> {
    let (conversation, reader) = (talk.conversation, &cast.users[talk.core[0]]);
    let Some(read) = whole(http, reader, conversation).await? else {
        return Ok(Log {
            conversation,
            entries: Vec::new(),
            members: None,
            marks: Vec::new(),
        });
    };
    let mut members = if talk.group.is_some() {
        Members::nobody(conversation)
    } else {
        Members::direct(&cast.users[talk.core[0]], &cast.users[talk.core[1]])
    };
    let entries = entries(read, &mut members);
    let path = format!("/v1/conversations/{conversation}/members");
    let stored: Option<wire::MembersReply> = http.read(reader, &path).await?;
    let stored = stored.ok_or("its owner may not know of a group")?;
    // Who is a member is what the store says; since when is what the log says.
    let list = stored.members.iter().filter_map(|member| {
        let known = members.list.get(&member.user).copied();
        let stranger = members.list.values().next().copied();
        Some((member.user.clone(), known.or(stranger)?))
    });
    members.list = list.collect();
    let path = format!("/v1/conversations/{conversation}/receipts");
    let receipts: Option<wire::Receipts> = http.read(reader, &path).await?;
    let marks = receipts.into_iter().flat_map(|read| read.receipts);
    let marks = marks.map(|receipt| {
        let marks = Marks {
            delivered: receipt.delivered,
            seen: receipt.seen,
        };
        (receipt.user, marks)
    });
    Ok(Log {
        conversation,
        entries,
        members: Some(members),
        marks: marks.collect(),
    })
}

/// The entries as the model has them. The wire does not say which membership a change was decided
/// under: it is the one before, since no other change is kept.
fn entries(read: Vec<wire::Entry>, members: &mut Members) -> Vec<Entry> {
    let mut changes: Vec<(Epoch, usize)> = Vec::new();
    for (at, entry) in read.iter().enumerate() {
        if entry.change.is_some() {
            changes.push((entry.epoch, at));
        }
    }
    changes.sort_unstable();
    let mut bases = BTreeMap::new();
    for (epoch, at) in changes {
        let Some(change) = read[at].change.clone() else {
            continue;
        };
        bases.insert(at, members.epoch);
        let change = MemberChange::from(change);
        let delta = members.delta(&read[at].sender, &change, epoch);
        *members = members.with(&delta);
    }
    let mut entries = Vec::with_capacity(read.len());
    for (at, entry) in read.into_iter().enumerate() {
        let text = entry.text.clone().unwrap_or_default();
        let body = match (entry.kind.as_str(), entry.target) {
            ("edit", Some(target)) => Body::Edit {
                target,
                message: Message::text(text),
            },
            ("delete", Some(target)) => Body::Delete { target },
            ("react", Some(target)) => Body::React {
                target,
                reaction: String::new(),
            },
            ("unreact", Some(target)) => Body::Unreact {
                target,
                reaction: String::new(),
            },
            _ => match (&entry.change, bases.get(&at)) {
                (Some(change), Some(base)) => Body::Members {
                    base: *base,
                    change: change.clone().into(),
                },
                _ => Body::Message(Message::text(text)),
            },
        };
        entries.push(Entry {
            conversation: entry.conversation,
            position: entry.position,
            prev: entry.prev,
            epoch: entry.epoch,
            id: entry.entry,
            sender: entry.sender,
            client_id: entry.client_id,
            body,
            incarnation: 0,
            relocated: false,
        });
    }
    entries
}

/// What everybody who is a member reads from the beginning, holding nothing.
pub(crate) async fn reads(http: &mut Http, cast: &Cast, logs: &[Log]) -> Result<Vec<Shown>> {
    let mut reads = Vec::new();
    for (talk, log) in cast.talks.iter().zip(logs) {
        for number in talk.everybody() {
            let user = &cast.users[number];
            let read = whole(http, user, talk.conversation).await?;
            let owed = log.visible_to(user).next().is_some();
            if read.is_none() && !owed {
                continue;
            }
            let places = read.into_iter().flatten().map(|it| (it.position, it.entry));
            reads.push(Shown {
                user: user.clone(),
                device: DeviceNo::try_from(number)?,
                conversation: talk.conversation,
                entries: places.collect(),
            });
        }
    }
    Ok(reads)
}

/// The newest position that each user may see in each conversation.
pub(crate) fn heads(logs: &[Log], user: &UserId) -> Vec<(ConversationId, Position)> {
    let newest = logs.iter().filter_map(|log| {
        let last = log.visible_to(user).last()?;
        Some((log.conversation, last.position))
    });
    newest.collect()
}
