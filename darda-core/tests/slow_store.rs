//! A store that is slow, not away: the writer gets somewhere all the same.

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyStore, Port, Trouble};
use darda_core::model::{ClientId, HistoryStart, UserId};
use darda_core::{Chat, Options, Ports, SendRequest};
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

const SENDS: usize = 600;
/// A whole batch takes a minute of a store that is given five seconds.
const EACH: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn a_store_that_is_too_slow_for_whole_batches_is_given_smaller_ones() {
    let faults = Faults::new(1);
    let mut ports = Ports::in_memory();
    ports.store = Arc::new(FaultyStore::new(ports.store, faults.clone()));
    let cache = ports.cache.clone();
    let options = Options::default().without_rate_limits();
    let chat = Chat::start(ports, options);
    let alice = chat.connect(UserId::new("alice").unwrap()).await.unwrap();
    let bob = UserId::new("bob").unwrap();
    let conversation = alice.open_direct(bob).await.unwrap();
    let say = |number: usize| {
        let name = ClientId::new(number.to_string()).unwrap();
        alice.send(SendRequest::new(conversation, name, "hello"))
    };
    say(0).await.unwrap();
    faults.set(Port::Store, Trouble::none().with_hanging());
    for number in 1..SENDS {
        say(number).await.unwrap();
    }
    assert!(cache.outbox_len().await.unwrap() > SENDS as u64 / 2);

    faults.set(Port::Store, Trouble::none().with_delay_each(EACH));
    let healed = Instant::now();
    while cache.outbox_len().await.unwrap() > 0 {
        let took = healed.elapsed();
        // Twice what the store needs, and the batches that were too large at first.
        assert!(
            took < 2 * EACH * SENDS as u32 + Duration::from_secs(60),
            "{took:?}"
        );
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_several_conversations_are_made_at_a_time() {
    const GROUPS: usize = 200;
    let faults = Faults::new(1);
    let mut ports = Ports::in_memory();
    ports.store = Arc::new(FaultyStore::new(ports.store, faults.clone()));
    let cache = ports.cache.clone();
    let chat = Chat::start(ports, Options::default().without_rate_limits());
    let alice = chat.connect(UserId::new("alice").unwrap()).await.unwrap();
    faults.set(Port::Store, Trouble::none().with_delay(EACH..=EACH));
    let create = |number: usize| {
        let name = ClientId::new(number.to_string()).unwrap();
        let title = "group".to_owned();
        alice.create_group(name, title, Vec::new(), HistoryStart::Beginning)
    };
    try_join_all((0..GROUPS).map(create)).await.unwrap();
    let made = Instant::now();
    while cache.outbox_len().await.unwrap() > 0 {
        let took = made.elapsed();
        assert!(took < GROUPS as u32 * EACH / 4, "{took:?}");
        sleep(EACH).await;
    }
}
