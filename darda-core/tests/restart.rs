//! A node that starts again under its name, sooner than its lease runs out.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyRegistry, Port, Trouble};
use darda_core::model::{NodeId, UserId};
use darda_core::ports::Presence;
use darda_core::{Chat, Options, Ports, Session};
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

/// A process of the same name, with sessions of Carol and Alice, that lives so long and is killed. The first
/// session of the later life has the number of Carol's.
async fn earlier_life(ports: &Ports, long: Duration) -> (Chat, [Session; 2]) {
    let chat = start(ports);
    let carol = chat.connect(user("carol")).await.unwrap();
    let alice = chat.connect(user("alice")).await.unwrap();
    sleep(long).await;
    chat.kill();
    (chat, [carol, alice])
}

async fn bob_alone_stays_online(ports: &Ports) {
    sleep(2 * ports.registry.lease()).await;
    assert!(!is_online(ports, "alice").await);
    assert!(!is_online(ports, "carol").await);
    assert!(is_online(ports, "bob").await);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_its_earlier_life_have_ended() {
    let ports = Ports::in_memory();
    let _before = earlier_life(&ports, ports.registry.lease() / 2).await;

    let after = start(&ports);
    let _bob = after.connect(user("bob")).await.unwrap();
    bob_alone_stays_online(&ports).await;
}

#[tokio::test(start_paused = true)]
async fn they_end_when_the_registry_is_there() {
    let ports = Ports::in_memory();
    let _before = earlier_life(&ports, Duration::ZERO).await;

    let faults = Faults::new(1);
    let mut cut_off = ports.clone();
    cut_off.registry = Arc::new(FaultyRegistry::new(cut_off.registry, faults.clone()));
    faults.set(Port::Registry, Trouble::none().with_failures_before(1.0));
    let after = start(&cut_off);
    let _bob = after.connect(user("bob")).await.unwrap();
    sleep(ports.registry.lease() / 3).await;
    faults.heal(Port::Registry);
    bob_alone_stays_online(&ports).await;
}
