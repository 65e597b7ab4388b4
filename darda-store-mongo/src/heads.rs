//! The newest entry of each log, as the writer last knew it.

use std::collections::HashMap;

use darda_core::Result;
use darda_core::model::{ConversationId, Position};
use darda_core::ports::Head;
use futures::TryStreamExt;
use mongodb::bson::{Binary, doc};
use serde::{Deserialize, Serialize};

use crate::batch::statement;
use crate::connection::Connection;
use crate::documents::{
    EntryDocument, conversation_key, conversation_of, signed, to_bson, unsigned,
};
use crate::error::of_call;
use crate::indexes::HEADS;

/// A conversation's head.
#[derive(Debug, Serialize, Deserialize)]
struct HeadDocument {
    /// Conversation.
    #[serde(rename = "_id")]
    key: Binary,
    /// Position.
    p: i64,
    /// The newest message. Its position is beside it, as `n`.
    #[serde(default)]
    m: Option<EntryDocument>,
}

impl Connection {
    pub(crate) async fn set_heads(&self, heads: Vec<(ConversationId, Head)>) -> Result<()> {
        let mut furthest = HashMap::<ConversationId, Head>::new();
        for (conversation, head) in heads {
            let head = match furthest.remove(&conversation) {
                Some(other) => other.max(head),
                None => head,
            };
            furthest.insert(conversation, head);
        }
        if furthest.is_empty() {
            return Ok(());
        }
        let keys = furthest.keys().copied().map(conversation_key);
        let known = self.known(keys.collect()).await?;
        let (mut positions, mut messages) = (Vec::new(), Vec::new());
        for key in known {
            let Some(head) = furthest.remove(&conversation_of(&key)?) else {
                continue;
            };
            let position = signed(head.position.0);
            let forward = doc! { "$max": { "p": position } };
            positions.push(statement(doc! { "_id": key.clone() }, forward, true));
            if let Some(message) = head.last_message {
                let position = signed(message.position.0);
                let message = to_bson(&EntryDocument::from(&*message))?;
                let older = doc! {
                    "_id": key,
                    "$or": [{ "n": { "$lt": position } }, { "n": { "$exists": false } }],
                };
                let newer = doc! { "$set": { "m": message, "n": position } };
                messages.push(statement(older, newer, false));
            }
        }
        self.update_many(HEADS, positions).await?;
        self.update_many(HEADS, messages).await
    }

    pub(crate) async fn heads_of(
        &self,
        conversations: &[ConversationId],
    ) -> Result<HashMap<ConversationId, Head>> {
        let keys: Vec<_> = conversations
            .iter()
            .copied()
            .map(conversation_key)
            .collect();
        let find = self.collection::<HeadDocument>(HEADS);
        let find = find
            .find(doc! { "_id": { "$in": keys } })
            .max_time(self.operation_timeout);
        let found: Vec<HeadDocument> = async { find.await?.try_collect().await }
            .await
            .map_err(of_call)?;
        let heads = found.into_iter().map(|found| {
            let head = Head {
                position: Position(unsigned(found.p)),
                last_message: found.m.map(TryInto::try_into).transpose()?,
            };
            Ok((conversation_of(&found.key)?, head))
        });
        heads.collect()
    }
}
