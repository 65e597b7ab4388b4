//! A whole chat inside one program: two users, a message, its receipt, its history.
//!
//! `cargo run -p darda-core --example in_memory`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use darda_core::model::{Body, ClientId, UserId};
use darda_core::ports::{EventBody, Range};
use darda_core::{Chat, Mark, SendRequest};
use futures::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let chat = Chat::in_memory();
    let alice = chat.connect(UserId::new("alice")?).await?;
    let mut bob = chat.connect(UserId::new("bob")?).await?;

    let conversation = alice.open_direct(UserId::new("bob")?).await?;
    let hello = SendRequest::new(conversation, ClientId::new("1")?, "hello, Bob");
    let ack = alice.send(hello).await?;

    let entry = loop {
        let event = bob.next().await.ok_or("Bob's session ended")?;
        if let EventBody::Entry(entry) = event.body()
            && matches!(entry.body, Body::Message(_))
        {
            break entry.clone();
        }
    };
    assert_eq!(entry.position, ack.position);
    bob.mark(conversation, Mark::Seen(entry.position)).await?;

    let page = bob.history(conversation, Range::NEWEST, 50).await?;
    assert_eq!(page.entries.last().map(|entry| entry.id), Some(ack.id));
    println!("Bob got Alice's message at position {}", ack.position);

    chat.shutdown().await;
    Ok(())
}
