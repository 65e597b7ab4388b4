//! A test of an app's own behaviour when a part of the chat fails: the broker is wrapped, breaks on
//! demand, and the app sees what its users would. Time is paused, so that no timeout is waited for.
//!
//! `cargo run -p darda-core --features faults --example fault_injection`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use darda_core::faults::{Faults, FaultyBroker, FaultyCache, Port, Trouble};
use darda_core::model::{ClientId, UserId};
use darda_core::ports::Range;
use darda_core::{Chat, ErrorKind, Options, Ports, SendRequest};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let faults = Faults::new(1);
    let ports = Ports::in_memory();
    let ports = Ports {
        broker: Arc::new(FaultyBroker::new(ports.broker, faults.clone())),
        cache: Arc::new(FaultyCache::new(ports.cache, faults.clone())),
        ..ports
    };
    let chat = Chat::start(ports, Options::default());
    let alice = chat.connect(UserId::new("alice")?).await?;
    let conversation = alice.open_direct(UserId::new("bob")?).await?;
    let request = SendRequest::new(conversation, ClientId::new("1")?, "are you there?");

    // The cache refuses: nothing was appended.
    faults.set(Port::Cache, Trouble::none().with_failures_before(1.0));
    let refused = alice.send(request.clone()).await;
    let error = refused.err().ok_or("the cache was down")?;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    println!("while the cache is down: {error}");
    faults.heal(Port::Cache);

    // The broker hangs: the entry has its place, but nobody vouches for it yet.
    faults.set(Port::Broker, Trouble::none().with_hanging());
    let pending = alice.append(request.clone()).await?;
    let position = pending.position();
    let error = pending.ack().await.err().ok_or("the broker hung")?;
    assert!(
        error.is_transient(),
        "a transient error says: send it again"
    );
    println!("while the broker hangs: {error}");
    faults.heal(Port::Broker);

    // The same client id is the same entry, so a retry is safe.
    let ack = alice.send(request.with_resend(true)).await?;
    assert!(ack.repeat);
    assert_eq!(ack.position, position);
    let page = alice.history(conversation, Range::NEWEST, 50).await?;
    let copies = page.entries.iter().filter(|entry| entry.id == ack.id);
    assert_eq!(copies.count(), 1);
    println!("sent again: acknowledged, and there once");

    chat.shutdown().await;
    Ok(())
}
