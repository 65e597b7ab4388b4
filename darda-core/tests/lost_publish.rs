//! What could not be published is, when the broker is there again: members on other nodes do not wait for
//! the next message, nor for their heads.

mod support;

use std::sync::Arc;
use std::time::Duration;

use darda_core::Ports;
use darda_core::faults::{Faults, FaultyBroker, Port, Trouble};
use support::Pair;
use tokio::time::{sleep, timeout};

/// Far below the time after which heads are told.
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn an_entry_whose_broker_was_away_is_told_when_it_is_back() {
    let faults = Faults::new(1);
    let ports = Ports::in_memory();
    let mut cut_off = ports.clone();
    cut_off.broker = Arc::new(FaultyBroker::new(cut_off.broker.clone(), faults.clone()));
    let mut pair = Pair::start(cut_off, ports).await;
    pair.say(0).await.unwrap();
    assert_eq!(pair.hear().await, 0);

    // Alice's node alone is cut off from the broker: nobody else looks back.
    faults.set(Port::Broker, Trouble::none().with_failures_before(1.0));
    for number in 1..=3 {
        pair.say(number).await.unwrap_err();
    }
    sleep(SOON).await;
    faults.set(Port::Broker, Trouble::none());
    for number in 1..=3 {
        pair.say(number).await.unwrap();
    }
    let heard = timeout(SOON, pair.hear()).await;
    assert_eq!(heard.unwrap(), 3, "its `prev` shows the others");
}
