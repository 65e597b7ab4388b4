//! Receipts: how far each member has come. They stay when a member goes, and are there again when
//! the member comes back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use darda_core::Result;
use darda_core::model::{ConversationId, Marks, UserId};
use darda_core::ports::MarkUpdate;
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Binary, doc};
use serde::{Deserialize, Serialize};

use crate::batch::statement;
use crate::connection::Connection;
use crate::documents::{MarkDocument, conversation_key, conversation_of, mark_key, signed};
use crate::error::of_call;
use crate::indexes::{CONVERSATIONS, MARKS};

/// Updates that are checked and written at a time.
const BATCH: usize = 250;

/// Those of the users asked for who are members.
#[derive(Serialize, Deserialize)]
struct Present {
    #[serde(rename = "_id")]
    key: Binary,
    u: Vec<UserId>,
}

impl Connection {
    fn mark_documents(&self) -> Collection<MarkDocument> {
        self.collection(MARKS)
    }

    pub(crate) async fn mark(&self, updates: Vec<MarkUpdate>) -> Result<()> {
        let mut furthest = BTreeMap::<_, Marks>::new();
        for MarkUpdate {
            conversation,
            user,
            marks,
        } in updates
        {
            let held = furthest.entry((conversation, user)).or_default();
            *held = held.max(marks);
        }
        let mut furthest = furthest.into_iter().peekable();
        while furthest.peek().is_some() {
            let batch: Vec<_> = furthest.by_ref().take(BATCH).collect();
            let present = self.present(batch.iter().map(|(of, _)| of)).await?;
            let batch = batch.into_iter().filter(|(of, _)| present.contains(of));
            let statements = batch.map(|((conversation, user), marks)| {
                let forward = doc! {
                    "$max": { "d": signed(marks.delivered.0), "s": signed(marks.seen.0) },
                    "$setOnInsert": { "c": conversation_key(conversation), "u": user.as_str() },
                };
                statement(doc! { "_id": mark_key(conversation, &user) }, forward, true)
            });
            self.update_many(MARKS, statements.collect()).await?;
        }
        Ok(())
    }

    /// Which of these users are members, without reading the other members.
    async fn present(
        &self,
        asked: impl Iterator<Item = &(ConversationId, UserId)>,
    ) -> Result<HashSet<(ConversationId, UserId)>> {
        let (mut conversations, mut users) = (BTreeSet::new(), BTreeSet::new());
        for (conversation, user) in asked {
            conversations.insert(*conversation);
            users.insert(user.as_str());
        }
        let keys: Vec<_> = conversations.into_iter().map(conversation_key).collect();
        let users: Vec<_> = users.into_iter().collect();
        let aggregate = self.collection::<Present>(CONVERSATIONS);
        let aggregate = aggregate
            .aggregate([
                doc! { "$match": { "_id": { "$in": keys } } },
                // A name that begins with `$` would be taken for an expression.
                doc! { "$project": { "u": { "$setIntersection": ["$m.u", { "$literal": users }] } } },
            ])
            .with_type::<Present>()
            .max_time(self.operation_timeout);
        let found: Vec<Present> = async { aggregate.await?.try_collect().await }
            .await
            .map_err(of_call)?;
        let mut present = HashSet::new();
        for found in found {
            let conversation = conversation_of(&found.key)?;
            present.extend(found.u.into_iter().map(|user| (conversation, user)));
        }
        Ok(present)
    }

    pub(crate) async fn marks(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        let of_all = async {
            let find = self.mark_documents();
            let find = find
                .find(doc! { "c": conversation_key(conversation) })
                .max_time(self.operation_timeout);
            let found = async { find.await?.try_collect::<Vec<_>>().await };
            found.await.map_err(of_call)
        };
        let (members, marks) = futures::try_join!(self.members(conversation), of_all)?;
        let marks = marks.into_iter().map(|found| {
            let marks = found.marks();
            (found.u, marks)
        });
        let marks: HashMap<_, _> = marks.collect();
        let users = members
            .into_iter()
            .flat_map(|members| members.list.into_keys());
        let marks = users.map(|user| {
            let marks = marks.get(&user).copied().unwrap_or_default();
            (user, marks)
        });
        Ok(marks.collect())
    }

    /// A user's marks in these conversations.
    pub(crate) async fn marks_of(
        &self,
        conversations: &[ConversationId],
        user: &UserId,
    ) -> Result<HashMap<ConversationId, Marks>> {
        let keys = conversations
            .iter()
            .map(|conversation| mark_key(*conversation, user));
        let find = self.mark_documents();
        let find = find
            .find(doc! { "_id": { "$in": keys.collect::<Vec<_>>() } })
            .max_time(self.operation_timeout);
        let found: Vec<MarkDocument> = async { find.await?.try_collect().await }
            .await
            .map_err(of_call)?;
        let marks = found
            .into_iter()
            .map(|found| Ok((conversation_of(&found.c)?, found.marks())));
        marks.collect()
    }
}
