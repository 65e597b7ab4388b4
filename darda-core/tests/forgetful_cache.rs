//! A cache that loses its memory while much waits for the store: all of it gets new positions.

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyStore, Port, Trouble};
use darda_core::memory::MemoryCache;
use darda_core::model::{ClientId, UserId};
use darda_core::ports::Range;
use darda_core::{Chat, Options, Ports, SendRequest};
use tokio::time::{Instant, sleep};

const SENDS: usize = 600;
/// Of each call. One call for each entry would take a minute.
const DELAY: Duration = Duration::from_millis(100);
const ENOUGH: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_cache_that_forgot_it_is_not_stored_one_by_one() {
    let faults = Faults::new(1);
    let mut ports = Ports::in_memory();
    let store = ports.store.clone();
    ports.store = Arc::new(FaultyStore::new(store.clone(), faults.clone()));
    let cache = Arc::new(MemoryCache::new());
    ports.cache = cache.clone();
    let chat = Chat::start(ports, Options::default().without_rate_limits());
    let alice = chat.connect(UserId::new("alice").unwrap()).await.unwrap();
    let bob = UserId::new("bob").unwrap();
    let conversation = alice.open_direct(bob).await.unwrap();
    faults.set(Port::Store, Trouble::none().with_hanging());
    let mut acked = Vec::new();
    for number in 0..SENDS {
        let name = ClientId::new(number.to_string()).unwrap();
        let send = SendRequest::new(conversation, name, "hello");
        acked.push(alice.send(send).await.unwrap());
    }
    cache.lose_memory();
    faults.set(Port::Store, Trouble::none().with_delay(DELAY..=DELAY));

    let healed = Instant::now();
    let stored = loop {
        let page = store.page(conversation, Range::OLDEST, 2 * SENDS).await;
        let page = page.unwrap();
        let newest = acked.iter().map(|ack| ack.position).max();
        if page.len() == SENDS && page.iter().all(|entry| Some(entry.position) > newest) {
            break page;
        }
        assert!(healed.elapsed() < ENOUGH, "{} stored", page.len());
        sleep(Duration::from_secs(1)).await;
    };
    let order = |ids: &mut dyn Iterator<Item = _>| ids.collect::<Vec<_>>();
    assert_eq!(
        order(&mut stored.iter().map(|entry| entry.id)),
        order(&mut acked.iter().map(|ack| ack.id))
    );
}
