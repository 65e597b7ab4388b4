//! The cache: each call is one script on the keys of one shard, or one for each shard it concerns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use darda_core::Result;
use darda_core::model::limits::SHARDS;
use darda_core::model::{ConversationId, Entry, EntryId, Epoch, Position};
use darda_core::ports::{Admission, Append, Appended, Cache, Head, Range, Recent, Settled};
use futures::future::try_join_all;
use redis::Value;

use crate::config::RedisConfig;
use crate::connection::{Call, Connection};
use crate::error::{outbox_full, unexpected};
use crate::keys::Keys;
use crate::record::{self, Place, Waiting, checked, decode, digits, encode, kind, number};

/// What one script works on at most: the server does nothing else meanwhile.
const MOST_AT_ONCE: usize = 100;
/// Entries of one answer.
const MOST_ENTRIES: usize = 100_000;

/// The [`Cache`] on Redis.
#[derive(Debug)]
pub struct RedisCache {
    connection: Arc<Connection>,
    keys: Keys,
    outbox_limit: usize,
    window: usize,
    remembered_for: Duration,
}

impl RedisCache {
    pub(crate) fn new(connection: Arc<Connection>, keys: Keys, config: &RedisConfig) -> Self {
        Self {
            connection,
            keys,
            outbox_limit: config.outbox_limit,
            window: config.window,
            remembered_for: config.remembered_for,
        }
    }

    /// What the cache knows of entries that wait to be stored, or are stored.
    async fn judge(&self, entries: Vec<Arc<Entry>>, stage: &str) -> Result<Vec<Settled>> {
        let ask = |(shard, at): (u16, Vec<usize>)| {
            let mut logs: BTreeMap<ConversationId, usize> = BTreeMap::new();
            let shard = self.keys.shard(shard);
            let mut keys = vec![shard.marker, shard.due, shard.bodies, shard.claims];
            for &at in &at {
                let conversation = entries[at].conversation;
                let next = logs.len();
                logs.entry(conversation).or_insert_with(|| {
                    let log = self.keys.log(conversation);
                    keys.extend([log.log, log.window, log.ids]);
                    keys.extend([log.earlier, log.pending, log.changes]);
                    next
                });
            }
            let mut call = Call::new(&self.connection.scripts.settle, keys);
            call.push(stage);
            for &at in &at {
                let entry = &entries[at];
                call.push(logs.get(&entry.conversation).copied().unwrap_or_default());
                call.push(entry.conversation.as_bytes());
                call.push(entry.id.as_bytes());
                call.push(digits(entry.position.0));
                call.push(digits(entry.incarnation));
            }
            async move {
                let answers: Vec<Vec<u8>> = self.connection.call(call).await?;
                let settled = |answer: &Vec<u8>| match answer.as_slice() {
                    b"cleared" => Ok(Settled::Cleared),
                    b"known" => Ok(Settled::Known),
                    b"lost" => Ok(Settled::Lost),
                    _ => Err(unexpected()),
                };
                let settled = answers.iter().map(settled).collect::<Result<_>>()?;
                Ok((at, settled))
            }
        };
        let shards = by_shard(&entries, |entry| entry.conversation);
        let answers = try_join_all(shards.into_iter().map(ask)).await?;
        in_order(entries.len(), Settled::Lost, answers)
    }
}

/// Which of the things asked for each script is about: of one shard each, and not too many.
fn by_shard<T>(all: &[T], of: impl Fn(&T) -> ConversationId) -> Vec<(u16, Vec<usize>)> {
    let mut shards: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (at, one) in all.iter().enumerate() {
        shards.entry(of(one).shard()).or_default().push(at);
    }
    let chunks = shards.into_iter().flat_map(|(shard, at)| {
        let chunks = at.chunks(MOST_AT_ONCE);
        chunks.map(|at| (shard, at.to_vec())).collect::<Vec<_>>()
    });
    chunks.collect()
}

/// Puts the answers about some of the things asked for into the order of asking.
fn in_order<T: Clone>(
    count: usize,
    empty: T,
    answers: Vec<(Vec<usize>, Vec<T>)>,
) -> Result<Vec<T>> {
    let mut all = vec![empty; count];
    for (asked, answered) in answers {
        if asked.len() != answered.len() {
            return Err(unexpected());
        }
        for (at, answer) in asked.into_iter().zip(answered) {
            all[at] = answer;
        }
    }
    Ok(all)
}

fn position(text: &[u8]) -> Result<Position> {
    number(text).map(Position).ok_or_else(unexpected)
}

/// A number that the script left empty where it knows none.
fn known(text: &[u8]) -> Result<Option<u64>> {
    if text.is_empty() {
        return Ok(None);
    }
    number(text).map(Some).ok_or_else(unexpected)
}

fn entries(records: &[Vec<u8>]) -> Result<Vec<Arc<Entry>>> {
    records
        .iter()
        .map(|record| decode(record).map(Arc::new))
        .collect()
}

/// The texts of an answer; nothing where there is nothing.
fn texts(answer: Value) -> Result<Vec<Option<Vec<u8>>>> {
    let Value::Array(values) = answer else {
        return Err(unexpected());
    };
    let text = |value| match value {
        Value::BulkString(text) => Ok(Some(text)),
        Value::Nil => Ok(None),
        _ => Err(unexpected()),
    };
    values.into_iter().map(text).collect()
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Cache for RedisCache {
    async fn append(&self, append: Append) -> Result<Appended> {
        let (admission, epoch) = match append.admission {
            Admission::Checked { epoch, fresh: true } => ("fresh", epoch),
            Admission::Checked { epoch, .. } => ("checked", epoch),
            Admission::Relocated { epoch } => ("relocated", epoch),
        };
        let epoch = checked(epoch)?;
        let entry = record::unplaced(append);
        let shard = self.keys.shard(entry.conversation.shard());
        let log = self.keys.log(entry.conversation);
        let keys = [
            &shard.marker,
            &shard.due,
            &shard.bodies,
            &log.log,
            &log.window,
            &log.ids,
            &log.earlier,
            &log.pending,
            &log.changes,
        ];
        let call = Call::new(&self.connection.scripts.append, keys)
            .arg(entry.conversation.as_bytes())
            .arg(entry.id.as_bytes())
            .arg(kind(&entry.body))
            .arg(admission)
            .arg(epoch)
            .arg(self.outbox_limit)
            .arg(self.window)
            .arg(self.remembered_for.as_secs())
            .arg(encode(&entry)?);
        let answer = texts(self.connection.call(call).await?)?;
        let answer: Vec<_> = answer.iter().map(Option::as_deref).collect();
        match answer[..] {
            [Some(b"new"), Some(columns)] => {
                let place = Place::parse(columns).ok_or_else(unexpected)?;
                Ok(Appended::New(Arc::new(place.of(entry))))
            }
            // A table of Lua ends at its first nil.
            [Some(b"repeat"), Some(place), ref pending @ ..] => {
                let pending = pending.first().copied().flatten();
                let pending = pending.map(decode).transpose()?;
                let position = position(place)?;
                let pending = pending.filter(|entry| entry.position == position);
                Ok(Appended::Repeat {
                    position,
                    pending: pending.map(Arc::new),
                })
            }
            [Some(b"stale")] => Ok(Appended::StaleEpoch),
            [Some(b"busy")] => Err(outbox_full()),
            _ => Err(unexpected()),
        }
    }

    async fn raise_epoch(&self, conversation: ConversationId, epoch: Epoch) -> Result<()> {
        let keys = [
            self.keys.shard(conversation.shard()).marker,
            self.keys.log(conversation).log,
        ];
        let call = Call::new(&self.connection.scripts.raise, keys)
            .arg(checked(epoch)?)
            .arg(self.remembered_for.as_secs());
        self.connection.call(call).await
    }

    async fn epochs(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Epoch>>> {
        let ask = |(_, at): (u16, Vec<usize>)| {
            let logs = at.iter().map(|&at| self.keys.log(conversations[at]).log);
            let keys: Vec<_> = logs.collect();
            async move {
                let call = Call::new(&self.connection.scripts.epochs, keys);
                let epochs: Vec<Vec<u8>> = self.connection.call(call).await?;
                let epochs = epochs.iter().map(|epoch| Ok(known(epoch)?.map(Epoch)));
                Ok((at, epochs.collect::<Result<_>>()?))
            }
        };
        let shards = by_shard(&conversations, |&conversation| conversation);
        let answers = try_join_all(shards.into_iter().map(ask)).await?;
        in_order(conversations.len(), None, answers)
    }

    async fn recent(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Recent> {
        let bodies = self.keys.shard(conversation.shard()).bodies;
        let log = self.keys.log(conversation);
        let keys = [bodies, log.log, log.window, log.pending];
        let (direction, point) = match range {
            Range::After(point) => ("after", point),
            Range::Before(point) => ("before", point),
        };
        let call = Call::new(&self.connection.scripts.recent, keys)
            .arg(conversation.as_bytes())
            .arg(direction)
            .arg(point.0)
            .arg(limit.min(MOST_ENTRIES));
        let answer: (Vec<u8>, Vec<u8>, Vec<u8>, Vec<Vec<u8>>) = self.connection.call(call).await?;
        let (head, last, epoch, records) = answer;
        let mut entries = entries(&records)?;
        entries.sort_by_key(|entry| entry.position);
        entries.dedup_by_key(|entry| entry.position);
        range.cut(&mut entries, limit);
        Ok(Recent {
            entries,
            head: known(&head)?.map(Position),
            last: known(&last)?.map(Position),
            epoch: known(&epoch)?.map(Epoch),
        })
    }

    async fn find(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Arc<Entry>>> {
        let log = self.keys.log(conversation);
        let bodies = self.keys.shard(conversation.shard()).bodies;
        let keys = [bodies, log.window, log.ids, log.earlier];
        let call = Call::new(&self.connection.scripts.find, keys)
            .arg(conversation.as_bytes())
            .arg(id.as_bytes());
        let found: Option<Vec<u8>> = self.connection.call(call).await?;
        found
            .map(|record| decode(&record).map(Arc::new))
            .transpose()
    }

    async fn changes(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        let bodies = self.keys.shard(conversation.shard()).bodies;
        let keys = [bodies, self.keys.log(conversation).changes];
        let call = Call::new(&self.connection.scripts.changes, keys).arg(conversation.as_bytes());
        let records: Vec<Vec<u8>> = self.connection.call(call).await?;
        entries(&records)
    }

    async fn heads(&self, conversations: Vec<ConversationId>) -> Result<Vec<Option<Head>>> {
        let ask = |(_, at): (u16, Vec<usize>)| {
            let mut keys = Vec::new();
            for &at in &at {
                let log = self.keys.log(conversations[at]);
                keys.extend([log.log, log.window]);
            }
            async move {
                let call = Call::new(&self.connection.scripts.heads, keys);
                let heads: Vec<Vec<u8>> = self.connection.call(call).await?;
                let head = |head: &[Vec<u8>]| match head {
                    [position, message] => {
                        let message = Some(message).filter(|message| !message.is_empty());
                        let message = message.map(|message| decode(message)).transpose()?;
                        Ok(known(position)?.map(|position| Head {
                            position: Position(position),
                            last_message: message.map(Arc::new),
                        }))
                    }
                    _ => Err(unexpected()),
                };
                Ok((at, heads.chunks(2).map(head).collect::<Result<_>>()?))
            }
        };
        let shards = by_shard(&conversations, |&conversation| conversation);
        let answers = try_join_all(shards.into_iter().map(ask)).await?;
        in_order(conversations.len(), None, answers)
    }

    async fn lost(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<bool>> {
        let judged = self.judge(entries, "waits").await?;
        Ok(judged.iter().map(|it| *it == Settled::Lost).collect())
    }

    async fn settle(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Settled>> {
        self.judge(entries, "stored").await
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
    ) -> Result<()> {
        let shard = self.keys.shard(conversation.shard());
        let log = self.keys.log(conversation);
        let keys = [
            &shard.marker,
            &shard.due,
            &shard.bodies,
            &shard.claims,
            &log.log,
            &log.window,
            &log.ids,
            &log.earlier,
            &log.pending,
            &log.changes,
        ];
        let call = Call::new(&self.connection.scripts.withdraw, keys)
            .arg(conversation.as_bytes())
            .arg(id.as_bytes())
            .arg(digits(position.0));
        self.connection.call(call).await
    }

    async fn claim_overdue(&self, age: Duration, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let age = microseconds(age);
        let ask = |shard| async move {
            let call = Call::new(&self.connection.scripts.overdue, [self.keys.due(shard)])
                .arg(age)
                .arg(limit.min(MOST_ENTRIES));
            self.connection.call::<Vec<Vec<u8>>>(call).await
        };
        let overdue = try_join_all((0..SHARDS).map(ask)).await?;
        let mut overdue: Vec<_> = overdue
            .into_iter()
            .flatten()
            .filter_map(Waiting::parse)
            .collect();
        overdue.sort();
        overdue.truncate(limit);

        let claim = |(shard, at): (u16, Vec<usize>)| {
            let shard = self.keys.shard(shard);
            let keys = [shard.due, shard.bodies, shard.claims];
            let mut call = Call::new(&self.connection.scripts.claim, keys).arg(age);
            at.iter().for_each(|&at| call.push(&overdue[at].member));
            self.connection.call::<Vec<Vec<u8>>>(call)
        };
        let shards = by_shard(&overdue, |waiting| waiting.conversation);
        let claimed = try_join_all(shards.into_iter().map(claim)).await?;
        let mut entries = Vec::new();
        for record in claimed.iter().flatten() {
            match decode(record) {
                Ok(entry) => entries.push(Arc::new(entry)),
                // The others must not wait for it.
                Err(error) => tracing::error!(%error, "an entry of the outbox cannot be read"),
            }
        }
        entries.sort_by_key(|entry| entry.position);
        Ok(entries)
    }

    async fn outbox_len(&self) -> Result<u64> {
        let count = |shard| async move {
            let mut count = redis::cmd("ZCARD");
            count.arg(self.keys.due(shard));
            self.connection.command::<u64>(&count).await
        };
        let counts = try_join_all((0..SHARDS).map(count)).await?;
        Ok(counts.into_iter().sum())
    }
}
