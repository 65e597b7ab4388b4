//! Whether one of two users has blocked the other: asked of the store, and remembered for a moment.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
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
/// Pairs of one change of members that the store is asked about at a time.
const AT_ONCE: usize = 16;

/// The smaller one first.
type Pair = (UserId, UserId);

/// What is known of pairs of users.
#[derive(Debug)]
pub(crate) struct Blocks(Mutex<State>);

#[derive(Debug)]
struct State {
    pairs: LruCache<Pair, Known>,
    /// How often something may have changed. What was asked before the last time is no news.
    changes: u64,
}

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
        Self(Mutex::new(State {
            pairs: LruCache::new(REMEMBERED),
            changes: 0,
        }))
    }
}

fn pair(a: &UserId, b: &UserId) -> Pair {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    (first.clone(), second.clone())
}

impl Blocks {
    pub(crate) fn forget(&self, a: &UserId, b: &UserId) {
        let mut state = self.0.lock();
        state.changes += 1;
        state.pairs.pop(&pair(a, b));
    }

    /// Whatever was changed lately may have been missed.
    pub(crate) fn doubt(&self) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.changes += 1;
        for (_, known) in state.pairs.iter_mut() {
            known.good_until = now;
        }
    }

    fn get(&self, pair: &Pair) -> Option<(bool, Use)> {
        let mut state = self.0.lock();
        let known = state.pairs.get_mut(pair)?;
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

    fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Remembers an answer to what was asked when so much had changed, unless more has since.
    fn learn(&self, pair: Pair, blocked: bool, changes: u64) {
        let mut state = self.0.lock();
        if state.changes == changes {
            state.pairs.put(pair, Known::new(blocked));
        }
    }

    /// The store did not answer.
    fn go_on(&self, pair: &Pair) {
        if let Some(known) = self.0.lock().pairs.peek_mut(pair) {
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

    /// Refuses what a user does to several others together, if it is blocked with one of them.
    pub(crate) async fn check_block_of_any(
        self: &Arc<Self>,
        user: &UserId,
        others: Vec<UserId>,
    ) -> Result<()> {
        stream::iter(others)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |other| async move {
                self.check_block(user, &other).await
            })
            .await
    }

    async fn is_blocked(self: &Arc<Self>, pair: Pair) -> Result<bool> {
        match self.blocks.get(&pair) {
            Some((blocked, Use::AsItIs)) => Ok(blocked),
            Some((blocked, Use::Renew)) => {
                let node = self.clone();
                self.spawn(async move {
                    // Without an answer the old one serves until it is no longer good.
                    let _ = node.bounded(node.ask_for_block(pair)).await;
                });
                Ok(blocked)
            }
            Some((known, Use::OnlyIfTheStoreIsAway)) => {
                match timeout(PATIENCE, self.ask_for_block(pair.clone())).await {
                    Ok(Err(error)) if !error.is_transient() => Err(error),
                    Ok(Ok(blocked)) => Ok(blocked),
                    Ok(Err(_)) | Err(_) => {
                        self.blocks.go_on(&pair);
                        Ok(known)
                    }
                }
            }
            None => self.ask_for_block(pair).await,
        }
    }

    async fn ask_for_block(&self, pair: Pair) -> Result<bool> {
        let changes = self.blocks.changes();
        let (a, b) = pair.clone();
        let blocked = self.ports.store.blocked_between(a, b).await?;
        self.blocks.learn(pair, blocked, changes);
        Ok(blocked)
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
        blocks.learn(two(), false, blocks.changes());
        assert_eq!(blocks.get(&two()), Some((false, Use::AsItIs)));
        tokio::time::advance(ASKED_EVERY).await;
        assert_eq!(blocks.get(&two()), Some((false, Use::Renew)));
        assert_eq!(blocks.get(&two()), Some((false, Use::AsItIs)));
        blocks.learn(two(), true, blocks.changes());
        assert_eq!(blocks.get(&two()), Some((true, Use::AsItIs)));
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(blocks.get(&two()), Some((true, Use::OnlyIfTheStoreIsAway)));
    }

    #[tokio::test]
    async fn an_answer_from_before_a_change_is_not_remembered() {
        let blocks = Blocks::default();
        let asked = blocks.changes();
        let (first, second) = two();
        blocks.forget(&second, &first);
        blocks.learn(two(), false, asked);
        assert_eq!(blocks.get(&two()), None);

        blocks.learn(two(), false, blocks.changes());
        let asked = blocks.changes();
        blocks.doubt();
        blocks.learn(two(), false, asked);
        assert_eq!(blocks.get(&two()), Some((false, Use::OnlyIfTheStoreIsAway)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_doubted_serves_while_the_store_is_away() {
        let blocks = Blocks::default();
        blocks.learn(two(), true, blocks.changes());
        blocks.doubt();
        assert_eq!(blocks.get(&two()), Some((true, Use::OnlyIfTheStoreIsAway)));
        blocks.go_on(&two());
        assert_eq!(blocks.get(&two()), Some((true, Use::AsItIs)));
        tokio::time::advance(ASKED_EVERY).await;
        assert_eq!(blocks.get(&two()), Some((true, Use::OnlyIfTheStoreIsAway)));
    }
}
