//! Receipts: how far each member has come. They stay when a member goes, and are there again when
//! the member comes back. Who is a member is asked when they are read, not when they are written.

use std::collections::{BTreeMap, HashMap};

use darda_core::Result;
use darda_core::model::{ConversationId, Marks, UserId};
use darda_core::ports::MarkUpdate;
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::doc;

use crate::batch::statement;
use crate::connection::Connection;
use crate::documents::{MarkDocument, conversation_key, conversation_of, mark_key, signed};
use crate::error::of_call;
use crate::indexes::MARKS;

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
        let statements = furthest.into_iter().map(|((conversation, user), marks)| {
            let forward = doc! {
                "$max": { "d": signed(marks.delivered.0), "s": signed(marks.seen.0) },
                "$setOnInsert": { "c": conversation_key(conversation), "u": user.as_str() },
            };
            statement(doc! { "_id": mark_key(conversation, &user) }, forward, true)
        });
        self.update_many(MARKS, statements.collect()).await
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
