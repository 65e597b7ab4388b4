//! Where an event goes is asked of the registry while the cache takes what it is about.

mod support;

use std::sync::Arc;
use std::time::Duration;

use darda_core::Ports;
use darda_core::faults::{Faults, FaultyCache, FaultyRegistry, Port, Trouble};
use support::Pair;
use tokio::time::{Instant, sleep};

/// What each call of the cache and of the registry takes.
const EACH: Duration = Duration::from_millis(500);
/// After that no way is known any longer.
const QUIET: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn an_event_goes_when_its_append_is_done_and_a_send_waits_for_no_way() {
    let faults = Faults::new(1);
    let ports = Ports::in_memory();
    let mut slow = ports.clone();
    slow.cache = Arc::new(FaultyCache::new(slow.cache.clone(), faults.clone()));
    slow.registry = Arc::new(FaultyRegistry::new(slow.registry.clone(), faults.clone()));
    let mut pair = Pair::start(slow, ports).await;
    pair.say(0).await.unwrap();
    pair.hear().await;

    sleep(QUIET).await;
    let delay = Trouble::none().with_delay(EACH..=EACH);
    faults.set(Port::Cache, delay.clone());
    faults.set(Port::Registry, delay);
    pair.say(1).await.unwrap();
    let acked = Instant::now();
    pair.hear().await;
    let later = acked.elapsed();
    assert!(later < EACH / 2, "{later:?}");

    // What is known of the way ends while the next one is appended.
    sleep(Duration::from_millis(900)).await;
    pair.say(2).await.unwrap();
    let acked = Instant::now();
    pair.hear().await;
    let later = acked.elapsed();
    assert!(later < EACH / 2, "{later:?}");

    sleep(QUIET).await;
    faults.set(Port::Registry, Trouble::none().with_hanging());
    let asked = Instant::now();
    pair.say(3).await.unwrap();
    let took = asked.elapsed();
    assert!(took < 3 * EACH, "{took:?}");
}
