//! Where an event goes is asked of the registry while the cache takes what it is about.

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyCache, FaultyRegistry, Port, Trouble};
use darda_core::model::{ClientId, UserId};
use darda_core::ports::EventBody;
use darda_core::{Chat, Options, Ports, SendRequest};
use futures::StreamExt;
use tokio::time::{Instant, sleep};

/// What each call of the cache and of the registry takes.
const EACH: Duration = Duration::from_millis(500);
/// After that no way is known any longer.
const QUIET: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn an_event_goes_when_its_append_is_done_and_a_send_waits_for_no_way() {
    let faults = Faults::new(1);
    let ports = Ports::in_memory();
    let there = Chat::start(ports.clone(), Options::default());
    let mut slow = ports;
    slow.cache = Arc::new(FaultyCache::new(slow.cache.clone(), faults.clone()));
    slow.registry = Arc::new(FaultyRegistry::new(slow.registry.clone(), faults.clone()));
    let here = Chat::start(slow, Options::default());
    let user = |name: &str| UserId::new(name).unwrap();
    let alice = here.connect(user("alice")).await.unwrap();
    let mut bob = there.connect(user("bob")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    let say = async |number: usize| {
        let name = ClientId::new(number.to_string()).unwrap();
        let said = alice.send(SendRequest::new(conversation, name, "hello"));
        said.await.unwrap();
    };
    let mut hear = async || {
        loop {
            let event = bob.next().await.unwrap();
            if matches!(event.body(), EventBody::Entry(entry) if entry.body.is_message()) {
                break;
            }
        }
    };
    say(0).await;
    hear().await;

    sleep(QUIET).await;
    let delay = Trouble::none().with_delay(EACH..=EACH);
    faults.set(Port::Cache, delay.clone());
    faults.set(Port::Registry, delay);
    say(1).await;
    let acked = Instant::now();
    hear().await;
    let later = acked.elapsed();
    assert!(later < EACH / 2, "{later:?}");

    // What is known of the way ends while the next one is appended.
    sleep(Duration::from_millis(900)).await;
    say(2).await;
    let acked = Instant::now();
    hear().await;
    let later = acked.elapsed();
    assert!(later < EACH / 2, "{later:?}");

    sleep(QUIET).await;
    faults.set(Port::Registry, Trouble::none().with_hanging());
    let asked = Instant::now();
    say(3).await;
    let took = asked.elapsed();
    assert!(took < 3 * EACH, "{took:?}");
}
