//! A server on a free port, and clients of it over real sockets.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by tests, each of which needs a part"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use darda_core::{Chat, Encoder, Options, Ports};
use darda_server::{DevAuthenticator, RouterOptions, ServeOptions, wire};
use futures::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message, handshake::client::Request};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// After so long, what a test waits for is not coming.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not in time"),
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) chat: Chat,
    _stop: DropGuard,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(options(), RouterOptions::default(), ServeOptions::default()).await
    }

    pub(crate) async fn unlimited() -> Self {
        let router = RouterOptions::default().without_http_rate_limit();
        Self::with(
            options().without_rate_limits(),
            router,
            ServeOptions::default(),
        )
        .await
    }

    pub(crate) async fn with(options: Options, router: RouterOptions, serve: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, options, router, serve)
    }

    pub(crate) fn on(
        listener: TcpListener,
        options: Options,
        router: RouterOptions,
        serve: ServeOptions,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let chat = Chat::start(Ports::in_memory(), options);
        let (tasks, stop) = (router.tasks.clone(), CancellationToken::new());
        let router = darda_server::router(chat.clone(), Arc::new(DevAuthenticator::new()), router);
        tokio::spawn(darda_server::serve(
            listener,
            router,
            serve,
            tasks,
            stop.clone(),
        ));
        Self {
            address,
            chat,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn request(&self, user: &str) -> Request {
        let url = format!("ws://{}/v1/ws?id={user}", self.address);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", wire::SUBPROTOCOL.parse().unwrap());
        request
    }

    pub(crate) async fn connect(&self, user: &str) -> Client {
        let mut client = Client::open(self.request(user)).await.unwrap();
        let hello = client.next().await;
        assert_eq!(
            (&hello["event"], &hello["user"]),
            (&json!("hello"), &json!(user))
        );
        client
    }

    /// One request over HTTP on a connection of its own: the status, the head, the body.
    pub(crate) async fn http(&self, method: &str, path: &str, body: &str) -> Answer {
        self.http_with(method, path, &[], body.as_bytes()).await
    }

    pub(crate) async fn http_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             {headers}\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server may answer before it has read the whole body.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = soon("the answer", stream.read_to_end(&mut bytes)).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// Options of a chat as the binary sets them.
pub(crate) fn options() -> Options {
    Options::default().with_encoder(Encoder::new(wire::encode_event))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn error(&self) -> (u16, String) {
        (
            self.status,
            self.json()["error"]["code"]
                .as_str()
                .unwrap_or("none")
                .to_owned(),
        )
    }
}

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    events: Vec<Value>,
    last_id: u64,
}

impl Client {
    pub(crate) async fn open(request: Request) -> Result<Self, Error> {
        let connected = soon(
            "the upgrade",
            Box::pin(tokio_tungstenite::connect_async(request)),
        )
        .await;
        let (socket, _) = connected?;
        Ok(Self {
            socket,
            events: Vec::new(),
            last_id: 0,
        })
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next frame that is JSON.
    pub(crate) async fn next(&mut self) -> Value {
        match soon("a frame", self.step()).await {
            Ok(value) => value,
            Err(code) => panic!("closed with {code}"),
        }
    }

    async fn step(&mut self) -> Result<Value, u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(close)))) => return Err(close.code.into()),
                Some(Ok(Message::Close(None))) => return Err(1005),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The code that the server closes with, whatever comes before.
    pub(crate) async fn closed(&mut self) -> u16 {
        let closed = async {
            loop {
                if let Err(code) = self.step().await {
                    return code;
                }
            }
        };
        soon("the close", closed).await
    }

    /// Sends a command and returns its whole reply. Events that come meanwhile are kept.
    pub(crate) async fn reply(&mut self, cmd: &str, mut fields: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        fields["id"] = id.into();
        fields["cmd"] = cmd.into();
        self.send(Message::text(fields.to_string())).await;
        loop {
            let frame = self.next().await;
            if frame["id"] == id {
                return frame;
            }
            assert!(frame.get("event").is_some(), "{frame}");
            self.events.push(frame);
        }
    }

    /// Sends a command that is to succeed.
    pub(crate) async fn ok(&mut self, cmd: &str, fields: Value) -> Value {
        let mut reply = self.reply(cmd, fields).await;
        assert!(reply.get("ok").is_some(), "{cmd}: {reply}");
        reply["ok"].take()
    }

    /// Sends a command that is to fail, and returns the error's code.
    pub(crate) async fn error(&mut self, cmd: &str, fields: Value) -> String {
        let reply = self.reply(cmd, fields).await;
        reply["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{cmd}: {reply}"))
            .to_owned()
    }

    /// The next event of this name; others before it are dropped.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        loop {
            let event = if self.events.is_empty() {
                self.next().await
            } else {
                self.events.remove(0)
            };
            if event["event"] == name {
                return event;
            }
        }
    }

    /// What has come so far, without waiting for more.
    pub(crate) fn come(&mut self) -> Vec<Value> {
        while let Some(Some(Ok(message))) = self.socket.next().now_or_never() {
            if let Message::Text(text) = message {
                self.events.push(serde_json::from_str(&text).unwrap());
            }
        }
        std::mem::take(&mut self.events)
    }

    pub(crate) async fn open_direct(&mut self, other: &str) -> String {
        let opened = self.ok("open_direct", json!({"user": other})).await;
        opened["conversation"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn say(&mut self, conversation: &str, client_id: &str, text: &str) -> Value {
        let send = json!({"conversation": conversation, "client_id": client_id, "text": text});
        self.ok("send", send).await
    }
}
