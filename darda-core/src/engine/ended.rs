//! Which incarnations of logs have ended, as far as a writer has seen.
//!
//! An entry of such a one gets a new position (`relocation.rs`). Found out after it was stored, it has
//! to be moved in the store, at several round trips; a writer that knows it before stores it where it
//! will stand. What waits behind a cache that lost its memory are thousands of these.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::model::{ConversationId, Entry};

/// Logs that are remembered.
const LOGS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The newest incarnation of each log that is known to have ended. None comes back.
#[derive(Debug)]
pub(super) struct Ended(LruCache<ConversationId, u64>);

impl Ended {
    pub(super) fn new() -> Self {
        Self(LruCache::new(LOGS))
    }

    /// A cache has said that this entry's incarnation is not its log's.
    pub(super) fn note(&mut self, entry: &Entry) {
        self.0.put(entry.conversation, entry.incarnation);
    }

    /// Whether it is known that this entry's incarnation has ended.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.0.peek(&entry.conversation) == Some(&entry.incarnation)
    }
}
