//! The names of all keys. Whatever belongs to a conversation carries the tag of its shard, so that a
//! script touches one slot of a cluster.

use std::sync::Arc;

use darda_core::model::{ConversationId, NodeId, UserId};

/// Makes the names.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

/// What a shard has one of.
#[derive(Debug, Clone)]
pub(crate) struct ShardKeys {
    /// The incarnation: replication id `r`, number `n`. No TTL; one of each shard.
    pub(crate) marker: Vec<u8>,
    /// The outbox: entries by the moment since when they wait. No TTL; bounded by `Busy`.
    pub(crate) due: Vec<u8>,
    /// The outbox's entries. As `due`.
    pub(crate) bodies: Vec<u8>,
    /// How often an entry was claimed. As `due`.
    pub(crate) claims: Vec<u8>,
}

/// What a conversation has one of.
#[derive(Debug, Clone)]
pub(crate) struct LogKeys {
    /// Last position, epoch, head. Expires.
    pub(crate) log: Vec<u8>,
    /// The newest entries, a stream. Expires.
    pub(crate) window: Vec<u8>,
    /// Positions by id: the younger generation. Expires.
    pub(crate) ids: Vec<u8>,
    /// Positions by id: the earlier generation. Expires.
    pub(crate) earlier: Vec<u8>,
    /// Ids by position of what left the window before it left the outbox. No TTL: goes with the last
    /// one.
    pub(crate) pending: Vec<u8>,
    /// The outbox's membership changes by position. As `pending`.
    pub(crate) changes: Vec<u8>,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    fn of_shard(&self, shard: u16, kind: char) -> Vec<u8> {
        format!("{}{{s{shard}}}{kind}", self.prefix).into_bytes()
    }

    pub(crate) fn due(&self, shard: u16) -> Vec<u8> {
        self.of_shard(shard, 'o')
    }

    pub(crate) fn shard(&self, shard: u16) -> ShardKeys {
        ShardKeys {
            marker: self.of_shard(shard, 'i'),
            due: self.due(shard),
            bodies: self.of_shard(shard, 'b'),
            claims: self.of_shard(shard, 'c'),
        }
    }

    pub(crate) fn log(&self, conversation: ConversationId) -> LogKeys {
        let shard = conversation.shard();
        let of = |kind| {
            let mut key = self.of_shard(shard, kind);
            key.push(b':');
            key.extend_from_slice(conversation.as_bytes());
            key
        };
        LogKeys {
            log: of('l'),
            window: of('w'),
            ids: of('d'),
            earlier: of('f'),
            pending: of('p'),
            changes: of('m'),
        }
    }

    /// A user's sessions and when the last one ended. Expires.
    pub(crate) fn user(&self, user: &UserId) -> Vec<u8> {
        format!("{}u:{user}", self.prefix).into_bytes()
    }

    /// A node's lease. Expires.
    pub(crate) fn node(&self, node: &NodeId) -> Vec<u8> {
        format!("{}n:{node}", self.prefix).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_conversation_carries_its_shards_tag() {
        let keys = Keys::new("darda:");
        let conversation = ConversationId::from_bytes([17; 16]);
        let (shard, log) = (keys.shard(17), keys.log(conversation));
        let all = [
            shard.marker,
            shard.due,
            shard.bodies,
            shard.claims,
            log.log,
            log.window,
            log.ids,
            log.earlier,
            log.pending,
            log.changes,
        ];
        for key in &all {
            assert!(key.starts_with(b"darda:{s17}"), "{key:?}");
        }
        let apart: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(apart.len(), all.len());
    }
}
