//! Whether one of two users has blocked the other: asked of the store, and remembered for a moment.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::node::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Members, UserId};

/// Pairs that are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How long an answer is good for, if no node says otherwise.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The age at which it is asked for again, so that those who write to each other do not wait for it.
const RENEWED_AT: Duration = Duration::from_secs(5);

/// The smaller one first.
type Pair = (UserId, UserId);

/// What is known of pairs of users.
#[derive(Debug)]
pub(crate) struct Blocks(Mutex<LruCache<Pair, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    blocked: bool,
    since: Instant,
    renewing: bool,
}

impl Default for Blocks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

fn pair(a: &UserId, b: &UserId) -> Pair {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    (first.clone(), second.clone())
}

impl Blocks {
    pub(crate) fn forget(&self, a: &UserId, b: &UserId) {
        self.0.lock().pop(&pair(a, b));
    }

    /// What is known, and whether the caller is to ask again.
    fn get(&self, pair: &Pair) -> Option<(Known, bool)> {
        let mut known = self.0.lock();
        let known = known.get_mut(pair)?;
        let renew = known.since.elapsed() >= RENEWED_AT && !known.renewing;
        known.renewing |= renew;
        Some((*known, renew))
    }

    fn put(&self, pair: Pair, blocked: bool) {
        self.0.lock().put(pair, Known::new(blocked));
    }

    /// Takes an answer over, unless the pair was forgotten while it was asked for. `None`: there was none.
    fn renew(&self, pair: &Pair, answer: Option<bool>) {
        if let Some(known) = self.0.lock().peek_mut(pair) {
            match answer {
                Some(blocked) => *known = Known::new(blocked),
                None => known.renewing = false,
            }
        }
    }
}

impl Known {
    fn new(blocked: bool) -> Self {
        Self {
            blocked,
            since: Instant::now(),
            renewing: false,
        }
    }
}

impl Node {
    /// Refuses what blocked users say to each other.
    pub(crate) async fn check_blocks(
        self: &Arc<Self>,
        members: &Members,
        user: &UserId,
    ) -> Result<()> {
        match members.peer(user) {
            Some(peer) if peer != user => self.check_block(user, peer).await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn check_block(self: &Arc<Self>, a: &UserId, b: &UserId) -> Result<()> {
        if self.is_blocked(pair(a, b)).await? {
            let message = "one of you has blocked the other";
            return Err(Error::new(ErrorKind::Blocked, message));
        }
        Ok(())
    }

    async fn is_blocked(self: &Arc<Self>, pair: Pair) -> Result<bool> {
        let known = self.blocks.get(&pair);
        if let Some((known, renew)) = known
            && known.since.elapsed() < GOOD_FOR
        {
            if renew {
                self.renew_block(pair);
            }
            return Ok(known.blocked);
        }
        let answer = self.ask_for_block(&pair).await;
        match (answer, known) {
            (Ok(blocked), _) => {
                self.blocks.put(pair, blocked);
                Ok(blocked)
            }
            // While the store is away, sends go on by what was known last.
            (Err(error), Some((known, _))) if error.is_transient() => {
                self.blocks.renew(&pair, None);
                Ok(known.blocked)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn renew_block(self: &Arc<Self>, pair: Pair) {
        let node = self.clone();
        self.spawn(async move {
            let answer = node.bounded(node.ask_for_block(&pair)).await;
            node.blocks.renew(&pair, answer.ok());
        });
    }

    async fn ask_for_block(&self, (a, b): &Pair) -> Result<bool> {
        let store = &self.ports.store;
        store.blocked_between(a.clone(), b.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Pair {
        let user = |name: &str| UserId::new(name).unwrap();
        pair(&user("bob"), &user("alice"))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_asked_for_again_once_and_before_it_is_too_old() {
        let blocks = Blocks::default();
        blocks.put(two(), false);
        assert!(matches!(blocks.get(&two()), Some((_, false))));
        tokio::time::advance(RENEWED_AT).await;
        assert!(matches!(blocks.get(&two()), Some((_, true))));
        assert!(matches!(blocks.get(&two()), Some((_, false))));
        blocks.renew(&two(), None);
        assert!(matches!(blocks.get(&two()), Some((_, true))));
        blocks.renew(&two(), Some(true));
        let (known, renew) = blocks.get(&two()).unwrap();
        assert!(known.blocked && !renew && known.since == Instant::now());
    }

    #[tokio::test]
    async fn an_answer_to_what_was_forgotten_meanwhile_is_not_taken() {
        let blocks = Blocks::default();
        blocks.put(two(), false);
        let (first, second) = two();
        blocks.forget(&second, &first);
        blocks.renew(&two(), Some(false));
        assert!(blocks.get(&two()).is_none());
    }
}
