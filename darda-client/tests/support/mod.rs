//! A server that says what a test wants.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// A client that has nothing to say for so long has forgotten something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that says what a test wants.
pub(crate) struct Server {
    listener: TcpListener,
}

/// A connection to it.
pub(crate) struct Line(WebSocketStream<TcpStream>);

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "ws://{}/v1/ws?id=alice",
            self.listener.local_addr().unwrap()
        )
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

    async fn upgrade(&self) -> Line {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("the client does not connect").unwrap();
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
