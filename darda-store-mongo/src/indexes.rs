//! The collections and their indexes: the one place that names them.

use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;

/// The log. `_id` = conversation ‖ position, so that the primary key is the order.
pub(crate) const ENTRIES: &str = "entries";
/// A document for each conversation, with its members.
pub(crate) const CONVERSATIONS: &str = "conversations";
/// A document for each conversation that has a head. Not in `conversations`: a head changes with
/// every batch, and would rewrite the members each time.
pub(crate) const HEADS: &str = "heads";
/// A document for each (conversation, user) with a receipt.
pub(crate) const MARKS: &str = "marks";
/// A document for each user who blocks somebody.
pub(crate) const BLOCKS: &str = "blocks";

/// An index that must be there before anything is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    pub(crate) collection: &'static str,
    pub(crate) name: &'static str,
    pub(crate) keys: Document,
    pub(crate) unique: bool,
}

/// All of them.
pub(crate) fn declared() -> [Index; 3] {
    [
        // An entry's id is stored once in its log.
        Index {
            collection: ENTRIES,
            name: "darda_entry_id",
            keys: doc! { "c": 1, "i": 1 },
            unique: true,
        },
        // The conversations of a user.
        Index {
            collection: CONVERSATIONS,
            name: "darda_members",
            keys: doc! { "m.u": 1 },
            unique: false,
        },
        // The marks of a conversation.
        Index {
            collection: MARKS,
            name: "darda_conversation",
            keys: doc! { "c": 1 },
            unique: false,
        },
    ]
}

impl Index {
    pub(crate) fn model(&self) -> IndexModel {
        let options = IndexOptions::builder()
            .name(self.name.to_owned())
            .unique(self.unique.then_some(true))
            .build();
        IndexModel::builder()
            .keys(self.keys.clone())
            .options(options)
            .build()
    }

    /// Whether an existing index has this one's name or keys.
    pub(crate) fn is_about(&self, existing: &IndexModel) -> bool {
        let options = existing.options.as_ref();
        let name = options.and_then(|options| options.name.as_deref());
        name == Some(self.name) || same_keys(&existing.keys, &self.keys)
    }

    /// Whether an existing index does what this one shall do, under whichever name.
    pub(crate) fn is_done_by(&self, existing: &IndexModel) -> bool {
        let options = existing.options.clone().unwrap_or_default();
        same_keys(&existing.keys, &self.keys)
            && options.unique.unwrap_or_default() == self.unique
            && options.partial_filter_expression.is_none()
            && !options.sparse.unwrap_or_default()
            && options.expire_after.is_none()
    }
}

/// A server may give a key's direction as any kind of number.
fn same_keys(a: &Document, b: &Document) -> bool {
    let keys = |document: &Document| -> Vec<_> {
        let keys = document.iter();
        keys.map(|(name, value)| (name.clone(), is_ascending(value)))
            .collect()
    };
    keys(a) == keys(b)
}

fn is_ascending(direction: &Bson) -> Option<bool> {
    match direction {
        Bson::Int32(number) => Some(*number > 0),
        Bson::Int64(number) => Some(*number > 0),
        Bson::Double(number) => Some(*number > 0.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(keys: Document, name: &str, unique: bool) -> IndexModel {
        let options = IndexOptions::builder()
            .name(name.to_owned())
            .unique(unique)
            .build();
        IndexModel::builder().keys(keys).options(options).build()
    }

    #[test]
    fn an_index_is_known_by_its_keys_in_their_order_and_by_its_uniqueness() {
        let [entry_id, ..] = declared();
        let same = existing(doc! { "c": 1_i64, "i": 1.0 }, "another name", true);
        assert!(entry_id.is_about(&same) && entry_id.is_done_by(&same));
        for (keys, unique) in [
            (doc! { "c": 1, "i": 1 }, false),
            (doc! { "i": 1, "c": 1 }, true),
            (doc! { "c": 1, "i": -1 }, true),
            (doc! { "c": 1 }, true),
        ] {
            let wrong = existing(keys, entry_id.name, unique);
            assert!(entry_id.is_about(&wrong) && !entry_id.is_done_by(&wrong));
        }
    }
}
