//! Who somebody is comes from the app: the engine takes a `UserId` that the app vouches for. Here it
//! comes from a table of tokens, which stands for a cookie, a JWT or whatever the app has.
//!
//! `cargo run -p darda-core --example own_authentication`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::error::Error;

use darda_core::model::{ClientId, UserId};
use darda_core::{Chat, ErrorKind, SendRequest, Session};

/// The app's own users, by token.
struct Accounts(HashMap<&'static str, UserId>);

impl Accounts {
    fn authenticate(&self, token: &str) -> Option<UserId> {
        self.0.get(token).cloned()
    }
}

/// The one place where sessions are made: no user without a token.
async fn open_session(
    chat: &Chat,
    accounts: &Accounts,
    token: &str,
) -> Result<Session, Box<dyn Error>> {
    let user = accounts.authenticate(token).ok_or("unknown token")?;
    Ok(chat.connect(user).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let accounts = Accounts(HashMap::from([
        ("token of Alice", UserId::new("alice")?),
        ("token of Bob", UserId::new("bob")?),
        ("token of Eve", UserId::new("eve")?),
    ]));
    let chat = Chat::in_memory();

    let refused = open_session(&chat, &accounts, "a guess").await;
    assert!(refused.is_err(), "no session without a token that is known");

    let alice = open_session(&chat, &accounts, "token of Alice").await?;
    assert_eq!(alice.user().as_str(), "alice");
    let conversation = alice.open_direct(UserId::new("bob")?).await?;
    let secret = SendRequest::new(conversation, ClientId::new("1")?, "for Bob alone");
    alice.send(secret).await?;

    // From here on the engine judges by the user that the app named.
    let bob = open_session(&chat, &accounts, "token of Bob").await?;
    let entries = bob.attach(conversation, None).await?.entries;
    assert!(entries.iter().any(|entry| entry.sender.as_str() == "alice"));

    let eve = open_session(&chat, &accounts, "token of Eve").await?;
    let refused = eve.attach(conversation, None).await;
    // What she may not see does not exist for her.
    assert_eq!(
        refused.err().map(|error| error.kind()),
        Some(ErrorKind::NotFound)
    );
    println!("a guess got no session, Bob reads what is his, Eve does not");

    chat.shutdown().await;
    Ok(())
}
