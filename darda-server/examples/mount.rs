//! Darda inside an app of one's own: the app's router, the app's tokens.
//!
//! The app says who a request is by its `Authenticator`; here tokens are looked up in a map, where a
//! real app asks its session store. A socket without a token is closed with 4401.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::request::Parts;
use axum::routing::get;
use darda_core::model::UserId;
use darda_core::{Chat, Encoder, Options, Ports};
use darda_server::{AuthError, Authenticator, RouterOptions, wire};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// The app's own way to know people.
#[derive(Debug)]
struct Tokens(HashMap<&'static str, &'static str>);

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, request: &Parts) -> Result<UserId, AuthError> {
        let token = request
            .headers
            .get("x-token")
            .and_then(|token| token.to_str().ok());
        let user = token.and_then(|token| self.0.get(token));
        let user = user.ok_or_else(|| AuthError::unauthenticated("sign in first"))?;
        UserId::new(user).map_err(|reason| AuthError::unauthenticated(reason.to_string()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The app with a chat in it.
    let options = Options::default().with_encoder(Encoder::new(wire::encode_event));
    let chat = Chat::start(Ports::in_memory(), options);
    let tokens = Arc::new(Tokens([("a-secret", "alice"), ("b-secret", "bob")].into()));
    let app = Router::new()
        .route("/about", get(async || "an app with a chat"))
        .merge(darda_server::router(
            chat.clone(),
            tokens,
            RouterOptions::default(),
        ));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    // Two of its users.
    let socket = async |token: &'static str| {
        let mut request = format!("ws://{address}/v1/ws").into_client_request()?;
        request.headers_mut().insert("x-token", token.parse()?);
        request
            .headers_mut()
            .insert("sec-websocket-protocol", wire::SUBPROTOCOL.parse()?);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok::<_, Box<dyn Error>>(socket)
    };
    let (mut alice, mut bob) = (socket("a-secret").await?, socket("b-secret").await?);
    assert_eq!(next(&mut alice).await?["user"], "alice");
    assert_eq!(next(&mut bob).await?["user"], "bob");
    let open = json!({"id": 1, "cmd": "open_direct", "user": "bob"});
    alice.send(Message::text(open.to_string())).await?;
    let conversation = next(&mut alice).await?["ok"]["conversation"].clone();
    let send = json!({"id": 2, "cmd": "send", "conversation": conversation, "client_id": "1",
        "text": "hello"});
    alice.send(Message::text(send.to_string())).await?;
    let said = loop {
        let event = next(&mut bob).await?;
        if event["event"] == "entry" {
            break event;
        }
    };
    assert_eq!(
        (&said["sender"], &said["text"]),
        (&json!("alice"), &json!("hello"))
    );
    println!("bob got {:?} from {}", said["text"], said["sender"]);

    // And somebody who is none.
    let mut stranger = socket("a-guess").await?;
    let Some(Ok(Message::Close(Some(close)))) = stranger.next().await else {
        return Err("the stranger was let in".into());
    };
    assert_eq!(u16::from(close.code), 4401);
    println!("the stranger was closed with {}", close.code);

    server.abort();
    chat.shutdown().await;
    Ok(())
}

async fn next<S>(socket: &mut S) -> Result<Value, Box<dyn Error>>
where
    S: futures::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        match socket.next().await.ok_or("the socket ended")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(close) => return Err(format!("closed: {close:?}").into()),
            _ => {}
        }
    }
}
