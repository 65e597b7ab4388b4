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
    #[serde(default)]
    l: Option<NewestMessage>,
}

/// The newest message. Documents are compared field by field, so that the position comes first.
#[derive(Debug, Serialize, Deserialize)]
struct NewestMessage {
    /// Position.
    n: i64,
    /// Entry.
    e: EntryDocument,
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
        let statements = furthest.into_iter().map(|(conversation, head)| {
            let mut forward = doc! { "p": signed(head.position.0) };
            if let Some(message) = head.last_message {
                let message = NewestMessage {
                    n: signed(message.position.0),
                    e: EntryDocument::from(&*message),
                };
                forward.insert("l", to_bson(&message)?);
            }
            let key = doc! { "_id": conversation_key(conversation) };
            Ok(statement(key, doc! { "$max": forward }, true))
        });
        let statements = statements.collect::<Result<_>>()?;
        self.update_many(HEADS, statements).await
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
                last_message: found.l.map(|message| message.e.try_into()).transpose()?,
            };
            Ok((conversation_of(&found.key)?, head))
        });
        heads.collect()
    }
}
