//! Conversations and their members. What a change alters is in one document, so that it is applied
//! completely or not at all, without a transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use darda_core::model::limits::{MAX_CONVERSATIONS_PER_USER, MAX_UNLOGGED_CHANGES};
use darda_core::model::{
    Body, ConversationId, Entry, EntryId, Epoch, Members, MembersDelta, UserId,
};
use darda_core::ports::{Commit, Membership};
use darda_core::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Binary, Document, doc};
use serde::{Deserialize, Serialize};

use crate::batch::statement;
use crate::connection::Connection;
use crate::documents::{
    ConversationDocument, EntryDocument, MemberDocument, conversation_key, conversation_of,
    entries_of, id_key, signed, to_bson, unsigned,
};
use crate::error::{invalid, is_duplicate, of_call, unavailable};
use crate::indexes::CONVERSATIONS;

/// Applied changes of a conversation that are recognised.
const REMEMBERED_CHANGES: i32 = 128;
/// Attempts at a change while others come between.
const MAX_ATTEMPTS: usize = 4;

/// How far a conversation has come.
#[derive(Serialize, Deserialize)]
struct Progress {
    e: i64,
    #[serde(default)]
    a: Vec<i64>,
    #[serde(default)]
    x: Vec<EntryDocument>,
}

impl Connection {
    fn conversations(&self) -> Collection<ConversationDocument> {
        self.collection(CONVERSATIONS)
    }

    pub(crate) async fn open_direct(&self, a: &UserId, b: &UserId) -> Result<()> {
        let document = ConversationDocument::of(&Members::direct(a, b));
        // Most are known already, and a read costs less than a write that changes nothing.
        if self.progress(document.key.clone()).await?.is_some() {
            return Ok(());
        }
        match self.conversations().insert_one(document).await {
            Err(error) if !is_duplicate(&error) => Err(of_call(error)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn members(&self, conversation: ConversationId) -> Result<Option<Members>> {
        let find = self.conversations();
        let found = find
            .find_one(doc! { "_id": conversation_key(conversation) })
            .projection(doc! { "a": 0, "x": 0 })
            .max_time(self.operation_timeout)
            .await;
        found
            .map_err(of_call)?
            .map(ConversationDocument::members)
            .transpose()
    }

    pub(crate) async fn commit_members(
        &self,
        delta: &MembersDelta,
        entry: &Entry,
    ) -> Result<Commit> {
        if !matches!(entry.body, Body::Members { .. }) {
            // It would wait for the log for ever: only these are looked for when entries are stored.
            return Err(invalid("the entry of a change of members is none"));
        }
        for _ in 0..MAX_ATTEMPTS {
            if delta.base == Epoch(0) && self.create(delta, entry).await? {
                return Ok(Commit::Committed);
            }
            if self.apply(delta, entry).await? {
                return Ok(Commit::Committed);
            }
            let Some(progress) = self.progress(conversation_key(delta.conversation)).await? else {
                return Ok(Commit::Conflict { epoch: Epoch(0) });
            };
            if progress.a.contains(&signed(delta.epoch.0)) {
                return Ok(Commit::Repeat);
            }
            if progress.e != signed(delta.base.0) {
                let epoch = Epoch(unsigned(progress.e));
                return Ok(Commit::Conflict { epoch });
            }
            // Those that a writer has stored and could not strike out make room.
            let waiting = entries_of(progress.x)?;
            if self.missing(waiting.clone()).await?.len() >= MAX_UNLOGGED_CHANGES {
                let message = "too many changes of the members wait to be stored";
                return Err(Error::new(ErrorKind::Busy, message));
            }
            let waiting = waiting.iter().map(|entry| (entry.conversation, entry.id));
            let stored = self.stored(waiting).await?;
            self.forget_unlogged(stored.into_keys()).await?;
        }
        Err(unavailable("others change the same members"))
    }

    /// Makes a group. Returns `false` if there is such a conversation.
    async fn create(&self, delta: &MembersDelta, entry: &Entry) -> Result<bool> {
        let members = Members::nobody(delta.conversation).with(delta);
        let mut document = ConversationDocument::of(&members);
        document.a.push(signed(delta.epoch.0));
        document.x.push(EntryDocument::from(entry));
        match self.conversations().insert_one(document).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(of_call(error)),
        }
    }

    /// Applies a change if the conversation is at its base and has room for its entry.
    async fn apply(&self, delta: &MembersDelta, entry: &Entry) -> Result<bool> {
        let full = format!("x.{}", MAX_UNLOGGED_CHANGES - 1);
        let filter = doc! {
            "_id": conversation_key(delta.conversation),
            "e": signed(delta.base.0),
            "a": { "$ne": signed(delta.epoch.0) },
            full: { "$exists": false },
        };
        let mut upsert: BTreeMap<_, _> = BTreeMap::new();
        for (user, member) in &delta.upsert {
            upsert.insert(user, MemberDocument::new(user, member));
        }
        let changed = upsert.keys().copied().chain(&delta.remove);
        let changed: Vec<_> = changed.map(UserId::as_str).collect();
        upsert.retain(|user, _| !delta.remove.contains(user));
        let upsert: Vec<_> = upsert.into_values().collect();
        // A name that begins with `$` would be taken for an expression.
        let others = doc! { "$filter": {
            "input": "$m",
            "cond": { "$not": [{ "$in": ["$$this.u", { "$literal": changed }] }] },
        } };
        let append = |to: &str, what| doc! { "$concatArrays": [to, [{ "$literal": what }]] };
        let update = doc! { "$set": {
            "e": signed(delta.epoch.0),
            "t": { "$literal": delta.title.as_str() },
            "h": { "$literal": to_bson(&delta.history)? },
            "m": { "$concatArrays": [others, { "$literal": to_bson(&upsert)? }] },
            "a": { "$slice": [
                append("$a", signed(delta.epoch.0).into()),
                -REMEMBERED_CHANGES,
            ] },
            "x": append("$x", to_bson(&EntryDocument::from(entry))?),
        } };
        let updated = self.conversations().update_one(filter, vec![update]).await;
        Ok(updated.map_err(of_call)?.matched_count > 0)
    }

    async fn progress(&self, key: Binary) -> Result<Option<Progress>> {
        let find = self.collection::<Progress>(CONVERSATIONS);
        let found = find
            .find_one(doc! { "_id": key })
            .projection(doc! { "e": 1, "a": 1, "x": 1 })
            .max_time(self.operation_timeout)
            .await;
        found.map_err(of_call)
    }

    pub(crate) async fn unlogged(&self, conversation: ConversationId) -> Result<Vec<Arc<Entry>>> {
        let Some(progress) = self.progress(conversation_key(conversation)).await? else {
            return Ok(Vec::new());
        };
        self.missing(entries_of(progress.x)?).await
    }

    /// Those that the log lacks. A writer that died may have stored one without striking it out.
    async fn missing(&self, mut entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>> {
        if !entries.is_empty() {
            let ids = entries.iter().map(|entry| (entry.conversation, entry.id));
            let stored = self.stored(ids).await?;
            entries.retain(|entry| !stored.contains_key(&(entry.conversation, entry.id)));
        }
        Ok(entries)
    }

    /// Strikes out entries that the log has.
    pub(crate) async fn forget_unlogged(
        &self,
        stored: impl Iterator<Item = (ConversationId, EntryId)>,
    ) -> Result<()> {
        let mut by_conversation = HashMap::<_, Vec<_>>::new();
        for (conversation, id) in stored {
            by_conversation
                .entry(conversation)
                .or_default()
                .push(id_key(id));
        }
        let statements = by_conversation.into_iter().map(|(conversation, ids)| {
            let filter = doc! {
                "_id": conversation_key(conversation),
                "x.i": { "$in": &ids },
            };
            statement(
                filter,
                doc! { "$pull": { "x": { "i": { "$in": ids } } } },
                false,
            )
        });
        self.update_many(CONVERSATIONS, statements.collect()).await
    }

    pub(crate) async fn memberships(&self, user: &UserId) -> Result<Vec<Membership>> {
        let projection: Document = doc! {
            "k": 1, "e": 1, "t": 1, "h": 1, "d": 1,
            "m": { "$elemMatch": { "u": user.as_str() } },
        };
        let limit = u32::try_from(MAX_CONVERSATIONS_PER_USER).unwrap_or(u32::MAX - 1);
        let find = self.conversations();
        let find = find
            .find(doc! { "m.u": user.as_str() })
            .projection(projection)
            .limit(i64::from(limit))
            .batch_size(limit + 1)
            .max_time(self.operation_timeout);
        let found: Vec<ConversationDocument> = async { find.await?.try_collect().await }
            .await
            .map_err(of_call)?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let conversations = found.iter().map(|found| conversation_of(&found.key));
        let conversations = conversations.collect::<Result<Vec<_>>>()?;
        let (mut heads, marks) = futures::try_join!(
            self.heads_of(&conversations),
            self.marks_of(&conversations, user)
        )?;
        let memberships = conversations.into_iter().zip(found);
        let memberships = memberships.filter_map(|(conversation, found)| {
            let member = found.m.iter().find(|member| member.u == *user)?.member();
            Some(Membership {
                conversation,
                kind: found.k,
                epoch: Epoch(unsigned(found.e)),
                peer: found.peer(user),
                title: found.t,
                member,
                marks: marks.get(&conversation).copied().unwrap_or_default(),
                head: heads.remove(&conversation),
            })
        });
        Ok(memberships.collect())
    }
}
