//! Whom each user blocks: one document, so that its bound holds whoever writes at the same time.

use darda_core::model::UserId;
use darda_core::model::limits::MAX_BLOCKS_PER_USER;
use darda_core::{Error, ErrorKind, Result};
use mongodb::Collection;
use mongodb::bson::doc;
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::error::{is_duplicate, of_call, unavailable};
use crate::indexes::BLOCKS;

/// Attempts while others write the user's first block.
const MAX_ATTEMPTS: usize = 4;

/// A user's blocks.
#[derive(Debug, Serialize, Deserialize)]
struct BlockDocument {
    /// User.
    #[serde(rename = "_id")]
    user: UserId,
    /// Blocked.
    #[serde(default)]
    b: Vec<UserId>,
}

impl Connection {
    fn block_documents(&self) -> Collection<BlockDocument> {
        self.collection(BLOCKS)
    }

    pub(crate) async fn block(&self, user: &UserId, other: &UserId) -> Result<()> {
        let full = format!("b.{}", MAX_BLOCKS_PER_USER - 1);
        for _ in 0..MAX_ATTEMPTS {
            let update = self
                .block_documents()
                .update_one(
                    doc! { "_id": user.as_str(), full.clone(): { "$exists": false } },
                    doc! { "$addToSet": { "b": other.as_str() } },
                )
                .upsert(true)
                .await;
            match update {
                Ok(_) => return Ok(()),
                // It is full, or another call has just made it.
                Err(error) if is_duplicate(&error) => {}
                Err(error) => return Err(of_call(error)),
            }
            let blocked = self.blocks(user).await?;
            if blocked.contains(other) {
                return Ok(());
            }
            if blocked.len() >= MAX_BLOCKS_PER_USER {
                let message = format!("a user blocks at most {MAX_BLOCKS_PER_USER} others");
                return Err(Error::new(ErrorKind::LimitReached, message));
            }
        }
        Err(unavailable("others write the same blocks"))
    }

    pub(crate) async fn unblock(&self, user: &UserId, other: &UserId) -> Result<()> {
        let update = self.block_documents();
        let update = update.update_one(
            doc! { "_id": user.as_str() },
            doc! { "$pull": { "b": other.as_str() } },
        );
        update.await.map(drop).map_err(of_call)
    }

    pub(crate) async fn blocks(&self, user: &UserId) -> Result<Vec<UserId>> {
        let find = self.block_documents();
        let found = find
            .find_one(doc! { "_id": user.as_str() })
            .max_time(self.operation_timeout)
            .await;
        let mut blocked = found
            .map_err(of_call)?
            .map(|found| found.b)
            .unwrap_or_default();
        blocked.sort_unstable();
        Ok(blocked)
    }

    pub(crate) async fn blocked_between(&self, a: &UserId, b: &UserId) -> Result<bool> {
        let one = |user: &UserId, other: &UserId| {
            doc! { "_id": user.as_str(), "b": other.as_str() }
        };
        let find = self.collection::<mongodb::bson::Document>(BLOCKS);
        let found = find
            .find_one(doc! { "$or": [one(a, b), one(b, a)] })
            .projection(doc! { "_id": 1 })
            .max_time(self.operation_timeout)
            .await;
        Ok(found.map_err(of_call)?.is_some())
    }
}
