//! A node that starts again under its name, sooner than its lease runs out.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;

use darda_core::faults::{Faults, FaultyRegistry, Port, Trouble};
use darda_core::model::{NodeId, UserId};
use darda_core::ports::Presence;
use darda_core::{Chat, Options, Ports};
use tokio::time::sleep;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A node that always has the same name.
fn start(ports: &Ports) -> Chat {
    let name = NodeId::new("chat-0");
    Chat::start(ports.clone(), Options::default().with_node(name))
}

async fn is_online(ports: &Ports, name: &str) -> bool {
    let presence = ports.registry.presence(vec![user(name)]).await;
    presence.unwrap() == [Presence::Online]
}

#[tokio::test(start_paused = true)]
async fn sessions_of_its_earlier_life_have_ended() {
    let ports = Ports::in_memory();
    let before = start(&ports);
    // The first session of the later life has the number of this one.
    let _carol = before.connect(user("carol")).await.unwrap();
    let _alice = before.connect(user("alice")).await.unwrap();
    sleep(ports.registry.lease() / 2).await;
    before.kill();

    let after = start(&ports);
    let _bob = after.connect(user("bob")).await.unwrap();
    sleep(2 * ports.registry.lease()).await;
    assert!(!is_online(&ports, "alice").await);
    assert!(!is_online(&ports, "carol").await);
    assert!(is_online(&ports, "bob").await);
}

#[tokio::test(start_paused = true)]
async fn they_end_when_the_registry_is_there() {
    let ports = Ports::in_memory();
    let before = start(&ports);
    // The first session of the later life has the number of this one.
    let _carol = before.connect(user("carol")).await.unwrap();
    let _alice = before.connect(user("alice")).await.unwrap();
    before.kill();

    let faults = Faults::new(1);
    let mut cut_off = ports.clone();
    cut_off.registry = Arc::new(FaultyRegistry::new(cut_off.registry, faults.clone()));
    faults.set(Port::Registry, Trouble::none().with_failures_before(1.0));
    let after = start(&cut_off);
    let _bob = after.connect(user("bob")).await.unwrap();
    sleep(ports.registry.lease() / 3).await;
    faults.heal(Port::Registry);
    sleep(2 * ports.registry.lease()).await;
    assert!(!is_online(&ports, "alice").await);
    assert!(!is_online(&ports, "carol").await);
    assert!(is_online(&ports, "bob").await);
}
