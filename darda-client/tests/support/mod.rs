//! A server that says what a test wants.

#![allow(dead_code, reason = "each test uses its part")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// A client that has nothing to say for so long has forgotten something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that says what a test wants.
pub(crate) struct Server {
    listener: TcpListener,
    encryption: Option<TlsAcceptor>,
}

/// A connection to it.
pub(crate) struct Line(WebSocketStream<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            listener,
            encryption: None,
        }
    }

    pub(crate) fn with_encryption(mut self, encryption: TlsAcceptor) -> Self {
        self.encryption = Some(encryption);
        self
    }

    pub(crate) fn url(&self) -> String {
        let scheme = self.encryption.as_ref().map_or("ws", |_| "wss");
        let address = self.listener.local_addr().unwrap();
        format!("{scheme}://{address}/v1/ws?id=alice")
    }

    /// The next connection, after its hello.
    pub(crate) async fn accept(&self) -> Line {
        let mut line = self.upgrade().await;
        let limits = json!({"max_frame_bytes": 131072, "max_text_bytes": 16384, "max_page": 200});
        line.say(
            json!({"event": "hello", "user": "alice", "session": "s", "node": "n",
            "heartbeat_ms": 25000, "limits": limits}),
        )
        .await;
        line
    }

    /// The next connection is closed at once.
    pub(crate) async fn accept_and_close(&self, code: u16) {
        let mut line = self.upgrade().await;
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        line.0.close(Some(frame)).await.unwrap();
        while line.0.next().await.is_some_and(|it| it.is_ok()) {}
    }

    /// The next client does not believe the server.
    pub(crate) async fn is_refused(&self) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let encryption = self.encryption.as_ref().unwrap();
        assert!(encryption.accept(stream).await.is_err());
    }

    async fn upgrade(&self) -> Line {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("the client does not connect").unwrap();
        let stream: Box<dyn Stream> = match &self.encryption {
            Some(encryption) => Box::new(encryption.accept(stream).await.unwrap()),
            None => Box::new(stream),
        };
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let choose = |request: &Request, mut response: Response| {
            let offered = request.headers()["sec-websocket-protocol"].clone();
            assert_eq!(offered, "darda.v1");
            response
                .headers_mut()
                .insert("sec-websocket-protocol", offered);
            Ok(response)
        };
        Line(
            tokio_tungstenite::accept_hdr_async(stream, choose)
                .await
                .unwrap(),
        )
    }
}

impl Line {
    pub(crate) async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next command of this name; others are left unanswered.
    pub(crate) async fn command(&mut self, name: &str) -> Value {
        loop {
            let next = timeout(PATIENCE, self.0.next()).await;
            let Some(Ok(message)) = next.expect("the client asks for nothing") else {
                panic!("the client is gone, and did not ask for {name}");
            };
            if let Message::Text(text) = message {
                let command: Value = serde_json::from_str(&text).unwrap();
                if command["cmd"] == name {
                    return command;
                }
            }
        }
    }
}

/// An entry of somebody else, in the conversation `c`.
pub(crate) fn entry(position: u64, prev: u64) -> Value {
    json!({"conversation": "c", "position": position, "prev": prev, "epoch": 0,
        "entry": format!("e{position}"), "sender": "bob", "client_id": position.to_string(),
        "type": "message", "text": ""})
}
