//! What could not be published is, when the broker is there again: members on other nodes do not wait for
//! the next message, nor for their heads.

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyBroker, Port, Trouble};
use darda_core::model::{ClientId, UserId};
use darda_core::ports::EventBody;
use darda_core::{Chat, Options, Ports, SendRequest};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

/// Far below the time after which heads are told.
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn an_entry_whose_broker_was_away_is_told_when_it_is_back() {
    let faults = Faults::new(1);
    let ports = Ports::in_memory();
    let there = Chat::start(ports.clone(), Options::default());
    let mut cut_off = ports;
    cut_off.broker = Arc::new(FaultyBroker::new(cut_off.broker.clone(), faults.clone()));
    let here = Chat::start(cut_off, Options::default());
    let user = |name: &str| UserId::new(name).unwrap();
    let alice = here.connect(user("alice")).await.unwrap();
    let mut bob = there.connect(user("bob")).await.unwrap();
    let conversation = alice.open_direct(user("bob")).await.unwrap();
    let say = async |number: usize| {
        let name = ClientId::new(number.to_string()).unwrap();
        let request = SendRequest::new(conversation, name, "hello").with_resend(number > 0);
        alice.send(request).await
    };
    let mut hear = async || {
        let message = async {
            loop {
                let event = bob.next().await.unwrap();
                if let EventBody::Entry(entry) = event.body()
                    && entry.body.is_message()
                {
                    return entry.client_id.to_string();
                }
            }
        };
        timeout(SOON, message).await
    };
    say(0).await.unwrap();
    assert_eq!(hear().await.unwrap(), "0");

    // Alice's node alone is cut off from the broker: nobody else looks back.
    faults.set(Port::Broker, Trouble::none().with_failures_before(1.0));
    for number in 1..=3 {
        say(number).await.unwrap_err();
    }
    sleep(SOON).await;
    faults.set(Port::Broker, Trouble::none());
    for number in 1..=3 {
        say(number).await.unwrap();
    }
    assert_eq!(hear().await.unwrap(), "3", "its `prev` shows the others");
}
