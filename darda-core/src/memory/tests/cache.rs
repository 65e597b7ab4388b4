use std::sync::Arc;
use std::time::Duration;

use super::{StoppedClock, append, conversation};
use crate::memory::MemoryCache;
use crate::model::{Body, ConversationId, Entry};
use crate::ports::{Append, Appended, Cache, Range, Settled};

async fn new(cache: &MemoryCache, append: Append) -> Arc<Entry> {
    match cache.append(append).await.unwrap() {
        Appended::New(entry) => entry,
        other => panic!("not new: {other:?}"),
    }
}

/// Appends and settles.
async fn stored(cache: &MemoryCache, append: Append) -> Arc<Entry> {
    let entry = new(cache, append).await;
    assert_eq!(
        cache.settle(vec![entry.clone()]).await.unwrap(),
        [Settled::Cleared]
    );
    entry
}

async fn held(cache: &MemoryCache, conversation: ConversationId) -> usize {
    cache
        .recent(conversation, Range::OLDEST, 10_000)
        .await
        .unwrap()
        .entries
        .len()
}

#[tokio::test]
async fn positions_follow_the_clock_and_never_stand_still() {
    let clock = StoppedClock::at(5_000_000);
    let cache = MemoryCache::with_clock(clock.clone());
    let log = conversation(0, 1);
    let mut positions = Vec::new();
    for (client, now) in [
        (1, 5_000_000),
        (2, 5_000_000),
        (3, 7_000_000),
        (4, 6_000_000),
    ] {
        clock.set(now);
        positions.push(new(&cache, append(log, client, true)).await.position.0);
    }
    // A new cache has lost nothing, so its logs begin at the clock.
    assert_eq!(positions, [5_000_000, 5_000_001, 7_000_000, 7_000_001]);
}

#[tokio::test]
async fn a_forgotten_log_begins_anew_without_losing_anything() {
    // One log in each shard of the cache.
    let cache = MemoryCache::with_clock(StoppedClock::at(5_000_000)).with_log_limit(64);
    let (log, other) = (conversation(0, 1), conversation(0, 2));
    let mut last = stored(&cache, append(log, 1, true)).await;
    for client in 2..100 {
        last = stored(&cache, append(log, client, false)).await;
    }
    stored(&cache, append(other, 1, true)).await;
    assert_eq!(held(&cache, log).await, 0);
    assert_eq!(cache.heads(vec![log]).await.unwrap(), [None]);
    // What it had settled stays settled, and is not moved.
    assert_eq!(
        cache.settle(vec![last.clone()]).await.unwrap(),
        [Settled::Known]
    );
    let stale = cache.append(append(log, "new", false)).await.unwrap();
    assert!(matches!(stale, Appended::StaleEpoch), "{stale:?}");
    let first = new(&cache, append(log, "new", true)).await;
    assert_eq!(first.prev, None);
    assert!(first.position > last.position, "the clock stands still");
}

#[tokio::test]
async fn a_log_with_something_in_the_outbox_is_not_forgotten() {
    let cache = MemoryCache::new().with_log_limit(64);
    let log = conversation(0, 1);
    let waiting = new(&cache, append(log, 1, true)).await;
    for number in 2..50 {
        stored(&cache, append(conversation(0, number), 1, true)).await;
    }
    assert_eq!(held(&cache, log).await, 1);
    assert_eq!(
        cache.settle(vec![waiting]).await.unwrap(),
        [Settled::Cleared]
    );
    stored(&cache, append(conversation(0, 99), 1, true)).await;
    stored(&cache, append(conversation(0, 100), 1, true)).await;
    assert_eq!(held(&cache, log).await, 0);
}

#[tokio::test]
async fn the_log_used_longest_ago_is_forgotten_first() {
    let cache = MemoryCache::new().with_log_limit(3 * 64);
    let [a, b, c, d] = [1, 2, 3, 4].map(|number| conversation(0, number));
    for log in [a, b, c] {
        stored(&cache, append(log, 1, true)).await;
    }
    held(&cache, a).await;
    stored(&cache, append(d, 1, true)).await;
    assert_eq!(
        [
            held(&cache, a).await,
            held(&cache, b).await,
            held(&cache, c).await
        ],
        [1, 0, 1]
    );
}

#[tokio::test]
async fn logs_that_take_too_much_memory_are_forgotten() {
    // A hundred kilobytes for each shard.
    let cache = MemoryCache::new().with_memory_limit(64 * 100_000);
    let large = |log| {
        let body = Body::Opaque(vec![0; 30_000].into());
        Append {
            body,
            ..append(log, 1, true)
        }
    };
    for number in 1..=10 {
        stored(&cache, large(conversation(0, number))).await;
    }
    let mut kept = Vec::new();
    for number in 1..=10 {
        if held(&cache, conversation(0, number)).await > 0 {
            kept.push(number);
        }
    }
    assert_eq!(kept, [8, 9, 10]);
}

#[tokio::test]
async fn a_window_is_bounded() {
    let cache = MemoryCache::new();
    let (small, large) = (conversation(0, 1), conversation(1, 1));
    for client in 0..1000 {
        stored(&cache, append(small, client, true)).await;
        let body = Body::Opaque(vec![0; 8_000].into());
        stored(
            &cache,
            Append {
                body,
                ..append(large, client, true)
            },
        )
        .await;
    }
    // The second is over the bytes, and keeps what the contract asks for.
    assert_eq!(
        (held(&cache, small).await, held(&cache, large).await),
        (256, 200)
    );
}

#[tokio::test]
async fn ids_are_forgotten_above_10000() {
    let cache = MemoryCache::new();
    let log = conversation(0, 1);
    for client in 0..=10_000 {
        stored(&cache, append(log, client, true)).await;
    }
    assert!(matches!(
        cache.append(append(log, 1, true)).await,
        Ok(Appended::Repeat { .. })
    ));
    assert!(matches!(
        cache.append(append(log, 0, true)).await,
        Ok(Appended::New(_))
    ));
}

#[tokio::test]
async fn an_id_in_the_outbox_is_not_forgotten() {
    let cache = MemoryCache::new();
    let log = conversation(0, 1);
    let waiting = new(&cache, append(log, "waiting", true)).await;
    for client in 0..11_000 {
        stored(&cache, append(log, client, true)).await;
    }
    // It keeps no other from being forgotten.
    let first = cache.append(append(log, 0, true)).await;
    assert!(matches!(first, Ok(Appended::New(_))), "{first:?}");
    assert_eq!(
        cache.find(log, waiting.id).await.unwrap(),
        Some(waiting.clone())
    );
    let repeat = cache.append(append(log, "waiting", true)).await.unwrap();
    assert!(
        matches!(
            repeat,
            Appended::Repeat {
                pending: Some(_),
                ..
            }
        ),
        "{repeat:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ids_are_forgotten_after_24_hours() {
    let cache = MemoryCache::new();
    let log = conversation(0, 1);
    for client in 0..300 {
        stored(&cache, append(log, client, true)).await;
    }
    tokio::time::advance(Duration::from_secs(23 * 3600)).await;
    stored(&cache, append(log, "later", true)).await;
    assert!(matches!(
        cache.append(append(log, 0, true)).await,
        Ok(Appended::Repeat { .. })
    ));
    tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    stored(&cache, append(log, "latest", true)).await;
    assert!(matches!(
        cache.append(append(log, 0, true)).await,
        Ok(Appended::New(_))
    ));
    // Those of the window stay: it finds them by their ids.
    assert!(matches!(
        cache.append(append(log, 299, true)).await,
        Ok(Appended::Repeat { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn claims_double_up_to_32_times_the_age() {
    let age = Duration::from_secs(1);
    let cache = MemoryCache::new();
    new(&cache, append(conversation(0, 1), 1, true)).await;
    let mut waits = Vec::new();
    let mut waited = 0;
    while waits.len() < 9 {
        tokio::time::advance(age).await;
        waited += 1;
        if !cache.claim_overdue(age, 10).await.unwrap().is_empty() {
            waits.push(waited);
            waited = 0;
        }
    }
    // The first wait is longer than the age, the others are no shorter.
    assert_eq!(waits, [2, 1, 2, 4, 8, 16, 32, 32, 32]);
}

#[tokio::test]
async fn the_head_goes_back_when_its_entry_is_withdrawn() {
    let cache = MemoryCache::new();
    let log = conversation(0, 1);
    let first = new(&cache, append(log, 1, true)).await;
    let second = new(&cache, append(log, 2, true)).await;
    cache
        .withdraw(log, second.id, second.position)
        .await
        .unwrap();
    let head = cache.heads(vec![log]).await.unwrap().remove(0).unwrap();
    assert_eq!(
        (head.position, head.last_message),
        (first.position, Some(first))
    );
}

#[cfg(feature = "faults")]
mod promotion {
    use super::*;
    use crate::model::Position;

    #[tokio::test]
    async fn a_promoted_copy_has_lost_what_came_after_it() {
        let clock = StoppedClock::at(5_000_000);
        let cache = MemoryCache::with_clock(clock.clone());
        let log = conversation(0, 1);
        let settled = stored(&cache, append(log, "settled", true)).await;
        let waiting = new(&cache, append(log, "waiting", true)).await;
        let copy = cache.snapshot();
        let lost = new(&cache, append(log, "lost", true)).await;
        let lost_but_stored = stored(&cache, append(log, "stored", true)).await;
        cache.promote(copy);

        // The copy may be older than the log: it does not know the head nor the epoch.
        let recent = cache.recent(log, Range::OLDEST, 10).await.unwrap();
        assert_eq!(recent.entries, [settled.clone(), waiting.clone()]);
        assert_eq!((recent.head, recent.epoch), (None, None));
        assert_eq!(cache.heads(vec![log]).await.unwrap(), [None]);

        let all = vec![settled, waiting, lost.clone(), lost_but_stored];
        let found = cache.settle(all).await.unwrap();
        use Settled::{Known, Lost};
        assert_eq!(found, [Known, Lost, Lost, Lost]);

        let stale = cache.append(append(log, "new", false)).await.unwrap();
        assert!(matches!(stale, Appended::StaleEpoch), "{stale:?}");
        let first = new(&cache, append(log, "new", true)).await;
        assert_eq!((first.prev, first.position), (None, Position(6_000_000)));
        assert!(first.incarnation > lost.incarnation);
        // What was lost is not remembered either.
        assert!(matches!(
            cache.append(append(log, "lost", true)).await,
            Ok(Appended::New(_))
        ));
    }

    #[tokio::test]
    async fn a_copys_newest_entry_is_no_head_when_what_came_after_is_withdrawn() {
        let cache = MemoryCache::with_clock(StoppedClock::at(5_000_000));
        let log = conversation(0, 1);
        stored(&cache, append(log, "settled", true)).await;
        let copy = cache.snapshot();
        stored(&cache, append(log, "lost but stored", true)).await;
        cache.promote(copy);
        let new = new(&cache, append(log, "new", true)).await;
        cache.withdraw(log, new.id, new.position).await.unwrap();
        let recent = cache.recent(log, Range::OLDEST, 10).await.unwrap();
        assert_eq!((recent.head, recent.last), (None, Some(new.position)));
    }

    #[tokio::test]
    async fn a_copy_ahead_of_the_clock_stays_ahead() {
        let clock = StoppedClock::at(50_000_000);
        let cache = MemoryCache::with_clock(clock.clone());
        let log = conversation(0, 1);
        let before = new(&cache, append(log, 1, true)).await;
        clock.set(5_000_000);
        cache.promote(cache.snapshot());
        assert!(new(&cache, append(log, 2, true)).await.position > before.position);
    }

    #[tokio::test]
    async fn positions_begin_past_the_clock_after_each_loss() {
        let cache = MemoryCache::with_clock(StoppedClock::at(5_000_000));
        let log = conversation(0, 1);
        let first = new(&cache, append(log, 1, true)).await;
        cache.lose_memory();
        let second = new(&cache, append(log, 1, true)).await;
        assert_eq!((second.position, second.prev), (Position(6_000_000), None));
        assert_eq!(held(&cache, log).await, 1);
        assert_eq!(cache.outbox_len().await.unwrap(), 1);
        assert_eq!(cache.settle(vec![first]).await.unwrap(), [Settled::Lost]);
    }
}
