//! Whether one of two users has blocked the other: asked of the store, and remembered for a moment.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::node::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Members, UserId};

/// Pairs that are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How long an answer is good for, if no node says otherwise. Whoever writes less often than that waits for
/// the store with each message.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// The age at which it is asked for again, so that those who write to each other do not wait for it; and
/// how long a store that did not answer is left alone.
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// For the store's answer, where there is an older one to go on by.
const PATIENCE: Duration = Duration::from_secs(1);

/// The smaller one first.
type Pair = (UserId, UserId);

/// What is known of pairs of users.
#[derive(Debug)]
pub(crate) struct Blocks(Mutex<LruCache<Pair, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    blocked: bool,
    good_until: Instant,
    ask_at: Instant,
}

/// What is to be done about what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    AsItIs,
    /// And the caller asks meanwhile; nobody else does.
    Renew,
    OnlyIfTheStoreIsAway,
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

    /// Whatever was changed lately may have been missed.
    pub(crate) fn doubt(&self) {
        let now = Instant::now();
        for (_, known) in self.0.lock().iter_mut() {
            known.good_until = now;
        }
    }

    fn get(&self, pair: &Pair) -> Option<(bool, Use)> {
        let mut known = self.0.lock();
        let known = known.get_mut(pair)?;
        let now = Instant::now();
        let what = if known.good_until <= now {
            Use::OnlyIfTheStoreIsAway
        } else if known.ask_at <= now {
            known.ask_at = now + ASKED_EVERY;
            Use::Renew
        } else {
            Use::AsItIs
        };
        Some((known.blocked, what))
    }

    fn put(&self, pair: Pair, blocked: bool) {
        self.0.lock().put(pair, Known::new(blocked));
    }

    /// Takes an answer over, unless the pair was forgotten while it was asked for.
    fn renew(&self, pair: &Pair, blocked: bool) {
        if let Some(known) = self.0.lock().peek_mut(pair) {
            *known = Known::new(blocked);
        }
    }

    /// The store did not answer.
    fn go_on(&self, pair: &Pair) {
        if let Some(known) = self.0.lock().peek_mut(pair) {
            let next = Instant::now() + ASKED_EVERY;
            known.good_until = known.good_until.max(next);
            known.ask_at = next;
        }
    }
}

impl Known {
    fn new(blocked: bool) -> Self {
        let now = Instant::now();
        Self {
            blocked,
            good_until: now + GOOD_FOR,
            ask_at: now + ASKED_EVERY,
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
        match self.blocks.get(&pair) {
            Some((blocked, Use::AsItIs)) => Ok(blocked),
            Some((blocked, Use::Renew)) => {
                let node = self.clone();
                self.spawn(async move {
                    if let Ok(blocked) = node.bounded(node.ask_for_block(&pair)).await {
                        node.blocks.renew(&pair, blocked);
                    }
                });
                Ok(blocked)
            }
            Some((known, Use::OnlyIfTheStoreIsAway)) => {
                match timeout(PATIENCE, self.ask_for_block(&pair)).await {
                    Ok(Ok(blocked)) => {
                        self.blocks.put(pair, blocked);
                        Ok(blocked)
                    }
                    Ok(Err(error)) if !error.is_transient() => Err(error),
                    Ok(Err(_)) | Err(_) => {
                        self.blocks.go_on(&pair);
                        Ok(known)
                    }
                }
            }
            None => {
                let blocked = self.ask_for_block(&pair).await?;
                self.blocks.put(pair, blocked);
                Ok(blocked)
            }
        }
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
    async fn an_answer_is_asked_for_again_by_one_while_it_is_good() {
        let blocks = Blocks::default();
        blocks.put(two(), false);
        assert_eq!(blocks.get(&two()), Some((false, Use::AsItIs)));
        tokio::time::advance(ASKED_EVERY).await;
        assert_eq!(blocks.get(&two()), Some((false, Use::Renew)));
        assert_eq!(blocks.get(&two()), Some((false, Use::AsItIs)));
        blocks.renew(&two(), true);
        assert_eq!(blocks.get(&two()), Some((true, Use::AsItIs)));
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(blocks.get(&two()), Some((true, Use::OnlyIfTheStoreIsAway)));
    }

    #[tokio::test]
    async fn an_answer_to_what_was_forgotten_meanwhile_is_not_taken() {
        let blocks = Blocks::default();
        blocks.put(two(), false);
        let (first, second) = two();
        blocks.forget(&second, &first);
        blocks.renew(&two(), false);
        assert_eq!(blocks.get(&two()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_doubted_serves_while_the_store_is_away() {
        let blocks = Blocks::default();
        blocks.put(two(), true);
        blocks.doubt();
        assert_eq!(blocks.get(&two()), Some((true, Use::OnlyIfTheStoreIsAway)));
        blocks.go_on(&two());
        assert_eq!(blocks.get(&two()), Some((true, Use::AsItIs)));
        tokio::time::advance(ASKED_EVERY).await;
        assert_eq!(blocks.get(&two()), Some((true, Use::OnlyIfTheStoreIsAway)));
    }
}
