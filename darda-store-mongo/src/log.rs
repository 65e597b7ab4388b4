//! Logs: the entries of all conversations.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use darda_core::Result;
use darda_core::model::{Body, ConversationId, Entry, EntryId, Position};
use darda_core::ports::{Inserted, Range, Relocated};
use futures::stream::{self, StreamExt, TryStreamExt};
use mongodb::Collection;
use mongodb::bson::{Binary, Document, doc};
use mongodb::error::ErrorKind as Kind;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::connection::Connection;
use crate::documents::{EntryDocument, conversation_key, entries_of, entry_key, id_key, place_of};
use crate::error::{DUPLICATE_KEY, is_duplicate, of_call, unavailable};
use crate::indexes::ENTRIES;

/// How often an insert is judged again while the entry in its way is being moved.
const MAX_ATTEMPTS: usize = 4;
/// Steps of a move, of which each but the last meets another move of the same entry.
const MAX_STEPS: usize = 16;
/// How long a move goes on that has taken an entry from its old place.
const PERSISTENCE: Duration = Duration::from_secs(30);
/// Logs in which ids are looked up at a time.
const LOOKUPS: usize = 4;

/// Where an entry is.
#[derive(Serialize, Deserialize)]
struct Place {
    #[serde(rename = "_id")]
    key: Binary,
    i: Binary,
}

/// What [`Place`] needs of a document.
fn place() -> Document {
    doc! { "i": 1 }
}

impl Connection {
    fn entries(&self) -> Collection<EntryDocument> {
        self.collection(ENTRIES)
    }

    pub(crate) async fn insert(&self, entries: &[Arc<Entry>]) -> Result<Vec<Inserted>> {
        let mut inserted = vec![None; entries.len()];
        let mut waiting: Vec<usize> = (0..entries.len()).collect();
        for _ in 0..MAX_ATTEMPTS {
            if waiting.is_empty() {
                break;
            }
            let refused = self.insert_new(entries, &waiting).await?;
            for at in waiting {
                if !refused.contains(&at) {
                    inserted[at] = Some(Inserted::New);
                }
            }
            self.judge(entries, &refused, &mut inserted).await?;
            waiting = refused.into_iter().collect();
            waiting.retain(|at| inserted[*at].is_none());
            waiting.sort_unstable();
        }
        let inserted: Option<Vec<_>> = inserted.into_iter().collect();
        let inserted =
            inserted.ok_or_else(|| unavailable("an entry is on its way to another position"))?;
        let changes = entries.iter().zip(&inserted).filter(|(entry, inserted)| {
            matches!(entry.body, Body::Members { .. }) && **inserted != Inserted::Taken
        });
        let changes = changes.map(|(entry, _)| (entry.conversation, entry.id));
        self.forget_unlogged(changes).await?;
        Ok(inserted)
    }

    /// Inserts entries, each by itself. Returns those that meet another one's position or id.
    async fn insert_new(
        &self,
        entries: &[Arc<Entry>],
        waiting: &[usize],
    ) -> Result<HashSet<usize>> {
        let documents = waiting.iter().map(|at| EntryDocument::from(&*entries[*at]));
        let insert = self.entries();
        let insert = insert.insert_many(documents).ordered(false);
        let Err(error) = insert.await else {
            return Ok(HashSet::new());
        };
        match error.kind.as_ref() {
            Kind::InsertMany(insert) if insert.write_concern_error.is_none() => {
                let errors = insert.write_errors.as_deref().unwrap_or_default();
                if errors.is_empty() || errors.iter().any(|error| error.code != DUPLICATE_KEY) {
                    return Err(of_call(error));
                }
                let refused = errors.iter().filter_map(|error| waiting.get(error.index));
                Ok(refused.copied().collect())
            }
            _ => Err(of_call(error)),
        }
    }

    /// Says why entries were refused. What is in no one's way by now is left open.
    async fn judge(
        &self,
        entries: &[Arc<Entry>],
        refused: &HashSet<usize>,
        inserted: &mut [Option<Inserted>],
    ) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let key = |at: usize| entry_key(entries[at].conversation, entries[at].position);
        let at_places = self
            .at_places(refused.iter().map(|at| key(*at)).collect())
            .await?;
        let mut elsewhere = Vec::new();
        for at in refused.iter().copied() {
            match at_places.get(&key(at).bytes) {
                Some(id) if *id == id_key(entries[at].id) => inserted[at] = Some(Inserted::Repeat),
                _ => elsewhere.push(at),
            }
        }
        let ids = elsewhere
            .iter()
            .map(|at| (entries[*at].conversation, entries[*at].id));
        let stored = self.stored(ids).await?;
        for at in elsewhere {
            let entry = &entries[at];
            inserted[at] = match stored.get(&(entry.conversation, entry.id)) {
                Some(stands) if *stands == entry.position => Some(Inserted::Repeat),
                Some(stands) => Some(Inserted::Duplicate { stands: *stands }),
                None if at_places.contains_key(&key(at).bytes) => Some(Inserted::Taken),
                None => None,
            };
        }
        Ok(())
    }

    /// The ids of the entries that have these keys, by key.
    async fn at_places(&self, keys: Vec<Binary>) -> Result<HashMap<Vec<u8>, Binary>> {
        let find = self.collection::<Place>(ENTRIES);
        let find = find
            .find(doc! { "_id": { "$in": keys } })
            .projection(place())
            .max_time(self.operation_timeout);
        let found: Vec<Place> = async { find.await?.try_collect().await }
            .await
            .map_err(of_call)?;
        Ok(found
            .into_iter()
            .map(|place| (place.key.bytes, place.i))
            .collect())
    }

    /// Where these ids are stored, if they are.
    pub(crate) async fn stored(
        &self,
        ids: impl Iterator<Item = (ConversationId, EntryId)>,
    ) -> Result<HashMap<(ConversationId, EntryId), Position>> {
        let mut by_log = BTreeMap::<ConversationId, Vec<EntryId>>::new();
        for (conversation, id) in ids {
            by_log.entry(conversation).or_default().push(id);
        }
        let lookups = by_log.into_iter().map(|(conversation, ids)| async move {
            let keys: Vec<_> = ids.into_iter().map(id_key).collect();
            let filter = doc! { "c": conversation_key(conversation), "i": { "$in": keys } };
            let find = self.collection::<Place>(ENTRIES);
            let find = find
                .find(filter)
                .projection(place())
                .max_time(self.operation_timeout);
            let found = async { find.await?.try_collect::<Vec<_>>().await };
            let found = found.await.map_err(of_call)?;
            let places = found.into_iter().map(|found| {
                let id = crate::documents::id_of(&found.i)?;
                Ok(((conversation, id), place_of(&found.key)?.1))
            });
            places.collect::<Result<Vec<_>>>()
        });
        let found: Vec<_> = stream::iter(lookups)
            .buffer_unordered(LOOKUPS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Moves an entry on. Two of these never disturb each other: each takes away only what stands
    /// before its own position, so that the furthest ends it.
    ///
    /// Once the entry is taken from its old place, this goes on through failures for a while. A
    /// repeat after a crash finds it nowhere, and stores it.
    pub(crate) async fn relocate(&self, entry: &Entry) -> Result<Relocated> {
        let entry = Arc::new(entry.clone());
        let (mut left, mut taken_away) = (None, None);
        for _ in 0..MAX_STEPS {
            let inserted = self.persistently(taken_away.is_some(), || async {
                let insert = self.bounded(self.insert(std::slice::from_ref(&entry)));
                Ok(insert.await?.into_iter().next())
            });
            let stands = match inserted.await? {
                Some(Inserted::New | Inserted::Repeat) => return Ok(Relocated::Stands { left }),
                Some(Inserted::Duplicate { stands }) if stands > entry.position => {
                    return Ok(Relocated::Beyond { stands });
                }
                Some(Inserted::Duplicate { stands }) => stands,
                Some(Inserted::Taken) | None => {
                    self.put_back(taken_away).await?;
                    return Ok(Relocated::Taken);
                }
            };
            let key = entry_key(entry.conversation, entry.position);
            if !self.bounded(self.at_places(vec![key])).await?.is_empty() {
                return Ok(Relocated::Taken);
            }
            let old = doc! {
                "_id": entry_key(entry.conversation, stands),
                "i": id_key(entry.id),
            };
            let gone = self.asked(self.entries().find_one_and_delete(old)).await?;
            if gone.is_some() {
                left.get_or_insert(stands);
                taken_away = gone;
            }
        }
        Err(unavailable("others move the same entry"))
    }

    /// Puts an entry back whose new position was taken at the last moment.
    async fn put_back(&self, document: Option<EntryDocument>) -> Result<()> {
        let Some(document) = document else {
            return Ok(());
        };
        let put = self.persistently(true, || async {
            let put = async {
                match self.entries().insert_one(&document).await {
                    Err(error) if !is_duplicate(&error) => Err(of_call(error)),
                    _ => Ok(()),
                }
            };
            self.bounded(put).await
        });
        put.await
    }

    /// Repeats a call that fails, if `on`.
    async fn persistently<T, F>(&self, on: bool, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let waits = ExponentialBuilder::default()
            .with_jitter()
            .with_max_delay(Duration::from_secs(2))
            .with_total_delay(Some(PERSISTENCE))
            .without_max_times();
        let mut waits = waits.build();
        loop {
            match call().await {
                Err(error) if on && error.is_transient() => match waits.next() {
                    Some(wait) => sleep(wait).await,
                    None => return Err(error),
                },
                answer => return answer,
            }
        }
    }

    pub(crate) async fn page(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let first = entry_key(conversation, Position(0));
        let last = entry_key(conversation, Position(u64::MAX));
        let (filter, direction) = match range {
            Range::After(point) => {
                let point = entry_key(conversation, point);
                (doc! { "_id": { "$gt": point, "$lte": last } }, 1)
            }
            Range::Before(point) => {
                let point = entry_key(conversation, point);
                (doc! { "_id": { "$gte": first, "$lt": point } }, -1)
            }
        };
        let count = u32::try_from(limit).unwrap_or(u32::MAX - 1);
        let find = self.entries();
        // One more than there will be, so that the first answer is known to be the last.
        let find = find
            .find(filter)
            .sort(doc! { "_id": direction })
            .limit(i64::from(count))
            .batch_size(count + 1)
            .max_time(self.operation_timeout);
        let page: Vec<_> = async { find.await?.try_collect().await }
            .await
            .map_err(of_call)?;
        let mut page = entries_of(page)?;
        if direction < 0 {
            page.reverse();
        }
        Ok(page)
    }

    pub(crate) async fn find(
        &self,
        conversation: ConversationId,
        id: EntryId,
    ) -> Result<Option<Arc<Entry>>> {
        let filter = doc! { "c": conversation_key(conversation), "i": id_key(id) };
        let find = self.entries();
        let found = find.find_one(filter).max_time(self.operation_timeout).await;
        found.map_err(of_call)?.map(TryInto::try_into).transpose()
    }
}
