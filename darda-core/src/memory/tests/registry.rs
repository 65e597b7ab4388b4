use std::time::Duration;

use super::{StoppedClock, user};
use crate::memory::MemoryRegistry;
use crate::model::{NodeId, SessionId, UserId};
use crate::ports::{Presence, SessionRegistry};

const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

fn session(name: &str) -> (UserId, SessionId) {
    (
        user(name),
        SessionId {
            node: NodeId::new("node"),
            number: 1,
        },
    )
}

async fn presence(registry: &MemoryRegistry, name: &str) -> Presence {
    registry.presence(vec![user(name)]).await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_user_was_last_seen_when_the_lease_ran_out() {
    let clock = StoppedClock::at(100_000_000);
    let registry = MemoryRegistry::with_clock(clock.clone()).with_lease(Duration::from_secs(5));
    registry
        .register(NodeId::new("node"), vec![session("a")])
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(5) - Duration::from_millis(1)).await;
    assert_eq!(presence(&registry, "a").await, Presence::Online);
    // Nobody asks for a while.
    tokio::time::advance(Duration::from_secs(20) + Duration::from_millis(1)).await;
    clock.set(125_000_000);
    let seen = Presence::Offline {
        last_seen_ms: Some(105_000),
    };
    assert_eq!(presence(&registry, "a").await, seen);
}

#[tokio::test]
async fn last_seen_is_kept_for_a_week_and_not_for_ever() {
    let clock = StoppedClock::at(DAY_US);
    let registry = MemoryRegistry::with_clock(clock.clone());
    let come_and_go = async |name: &str| {
        registry
            .register(NodeId::new("node"), vec![session(name)])
            .await
            .unwrap();
        registry.unregister(vec![session(name)]).await.unwrap();
    };
    come_and_go("a").await;
    clock.set(8 * DAY_US);
    come_and_go("b").await;
    let day_ms = DAY_US / 1000;
    let seen = Presence::Offline {
        last_seen_ms: Some(day_ms),
    };
    assert_eq!(presence(&registry, "a").await, seen);
    clock.set(11 * DAY_US);
    come_and_go("c").await;
    let forgotten = Presence::Offline { last_seen_ms: None };
    assert_eq!(presence(&registry, "a").await, forgotten);
    let seen = Presence::Offline {
        last_seen_ms: Some(8 * day_ms),
    };
    assert_eq!(presence(&registry, "b").await, seen);
}
