//! One connection, and none of the care: frames out, frames in, until it ends.
//!
//! A reader and a writer of its own, so that neither a full socket nor a slow reader keeps the client
//! from seeing that time passes.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::settings::Tls;
use crate::status::close;
use crate::wire::{Event, Hello, SUBPROTOCOL};
use crate::{Error, ErrorKind, Result};

/// Frames that wait in either direction. The client keeps fewer commands than that under way.
const FRAMES: usize = 256;
/// A frame of the server: a page of 200 entries with texts and metadata that JSON makes six times as long.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One connection to a server: it says what comes, and ends when it ends. [`Client`](crate::Client) makes
/// one after another; alone it is for tools.
#[derive(Debug)]
pub struct Connection {
    hello: Hello,
    outgoing: mpsc::Sender<Utf8Bytes>,
    incoming: mpsc::Receiver<Incoming>,
    _gone: DropGuard,
}

/// What comes over a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A frame of JSON.
    Frame(Utf8Bytes),
    /// The server is there: a ping or a pong.
    Alive,
    /// The connection has ended with this close code; 1006: without one. Nothing follows.
    Closed(u16),
}

impl Connection {
    /// Connects and waits for the server's hello. It takes as long as it takes.
    ///
    /// # Errors
    /// `Connect` when it cannot be made, `Invalid` for an address that cannot be, `Refused` with the
    /// close code 4401 when the server does not let the user in.
    ///
    /// # Cancellation
    /// Safe: the connection is dropped.
    pub async fn open(url: &str, tls: &Tls) -> Result<Self> {
        let mut socket = connect(url, tls).await?;
        let hello = greeting(&mut socket).await?;
        let gone = CancellationToken::new();
        let (sink, stream) = socket.split();
        let (outgoing, to_send) = mpsc::channel(FRAMES);
        let (arrived, incoming) = mpsc::channel(FRAMES);
        // They end when this value does, and are not waited for: they only close a socket.
        tokio::spawn(write(sink, to_send, gone.clone()));
        tokio::spawn(read(stream, arrived, gone.clone()));
        Ok(Self {
            hello,
            outgoing,
            incoming,
            _gone: gone.drop_guard(),
        })
    }

    /// The server's first frame.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// What comes next; `Closed` is the last. Cancel-safe.
    pub async fn next(&mut self) -> Incoming {
        let next = self.incoming.recv().await;
        next.unwrap_or(Incoming::Closed(ABNORMAL))
    }

    /// Puts a frame in the queue of those that go out. `false`: 256 wait already, or the connection has
    /// ended.
    pub fn send(&self, frame: String) -> bool {
        self.outgoing.try_send(frame.into()).is_ok()
    }
}

#[cfg(test)]
impl Connection {
    /// One that takes nothing more, and whose end has not been told yet.
    pub(crate) fn that_is_ending() -> Self {
        let hello = r#"{"user": "alice", "session": "s", "node": "n", "heartbeat_ms": 25000,
            "limits": {"max_frame_bytes": 131072, "max_text_bytes": 16384, "max_page": 200}}"#;
        let (outgoing, _) = mpsc::channel(FRAMES);
        let (_, incoming) = mpsc::channel(FRAMES);
        Self {
            hello: serde_json::from_str(hello).expect("a hello"),
            outgoing,
            incoming,
            _gone: CancellationToken::new().drop_guard(),
        }
    }
}

/// Without a close frame.
pub(crate) const ABNORMAL: u16 = 1006;

async fn connect(url: &str, tls: &Tls) -> Result<Socket> {
    let wrong = |error| Error::caused(ErrorKind::Invalid, "the address cannot be", error);
    let mut request = url.into_client_request().map_err(wrong)?;
    let offered = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offered);
    let uri = request.uri();
    let encrypted = uri.scheme_str() == Some("wss");
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let connector = encrypted.then(|| connector(tls)).transpose()?;
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| {
            Error::caused(ErrorKind::Connect, "the server cannot be reached", error)
        })?;
    // A chat sends small frames, and each at once.
    stream
        .set_nodelay(true)
        .map_err(|error| Error::caused(ErrorKind::Connect, "the socket does not work", error))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let made = handshake(request, stream, config, connector).await;
    let (socket, _) = made.map_err(|error| match &error {
        tungstenite::Error::Http(response) => {
            let status = response.status();
            let message = format!("the server answered {status} instead of a WebSocket");
            Error::caused(ErrorKind::Connect, message, error)
        }
        _ => Error::caused(ErrorKind::Connect, "there is no WebSocket", error),
    })?;
    Ok(socket)
}

#[cfg(feature = "tls")]
use crate::tls::{connector, handshake};

#[cfg(not(feature = "tls"))]
use without_tls::{connector, handshake};

#[cfg(not(feature = "tls"))]
mod without_tls {
    //! `wss://` needs the feature `tls`.

    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
    use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
    use tokio_tungstenite::{MaybeTlsStream, client_async_with_config, tungstenite};

    use crate::settings::Tls;
    use crate::{Error, ErrorKind, Result};

    pub(super) fn connector(_: &Tls) -> Result<()> {
        let message = "wss:// needs the feature `tls` of darda-client";
        Err(Error::new(ErrorKind::Invalid, message))
    }

    pub(super) async fn handshake(
        request: Request,
        stream: TcpStream,
        config: WebSocketConfig,
        _: Option<()>,
    ) -> Result<(super::Socket, Response), tungstenite::Error> {
        client_async_with_config(request, MaybeTlsStream::Plain(stream), Some(config)).await
    }
}

async fn greeting(socket: &mut Socket) -> Result<Hello> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(Event::Hello(hello)) => return Ok(hello),
                Ok(_) => {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "the server does not say hello",
                    ));
                }
                Err(error) => {
                    let message = "the server's hello cannot be read";
                    return Err(Error::caused(ErrorKind::Invalid, message, error));
                }
            },
            Some(Ok(Message::Close(frame))) => return Err(not_taken(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let message = "the connection ended before the server's hello";
                return Err(Error::caused(ErrorKind::Connect, message, error));
            }
            None => return Err(not_taken(None)),
        }
    }
}

/// The server closed the connection instead of saying hello.
fn not_taken(frame: Option<CloseFrame>) -> Error {
    let code = frame.map_or(ABNORMAL, |frame| frame.code.into());
    Error::closed(code)
}

async fn read(
    mut stream: SplitStream<Socket>,
    arrived: mpsc::Sender<Incoming>,
    gone: CancellationToken,
) {
    loop {
        let next = tokio::select! {
            () = gone.cancelled() => return,
            next = stream.next() => next,
        };
        let incoming = match next {
            Some(Ok(Message::Text(text))) => Incoming::Frame(text),
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map_or(ABNORMAL, |frame| frame.code.into()))
            }
            Some(Ok(_)) => Incoming::Alive,
            Some(Err(_)) | None => Incoming::Closed(ABNORMAL),
        };
        let ended = matches!(incoming, Incoming::Closed(_));
        if arrived.send(incoming).await.is_err() || ended {
            return;
        }
    }
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut waiting: mpsc::Receiver<Utf8Bytes>,
    gone: CancellationToken,
) {
    // What hangs in a socket that nobody reads must not outlive the connection.
    let given_up = async {
        gone.cancelled().await;
        tokio::time::sleep(GOODBYE).await;
    };
    let writing = async {
        let mut frames = Vec::new();
        while waiting.recv_many(&mut frames, FRAMES).await > 0 {
            for frame in frames.drain(..) {
                sink.feed(Message::Text(frame)).await?;
            }
            sink.flush().await?;
        }
        let goodbye = CloseFrame {
            code: close::NORMAL.into(),
            reason: Utf8Bytes::default(),
        };
        sink.send(Message::Close(Some(goodbye))).await
    };
    tokio::select! {
        () = given_up => {}
        // The reader sees it too, and says so.
        written = writing => drop(written),
    }
}

/// A frame's text, understood.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::caused(
            ErrorKind::Invalid,
            "the server's frame cannot be read",
            error,
        )
    })
}

/// As [`Connection::open`], within a time.
pub(crate) async fn open_within(url: String, tls: Tls, within: Duration) -> Result<Connection> {
    let opened = timeout(within, Connection::open(&url, &tls)).await;
    opened.unwrap_or_else(|_| {
        let message = "the server did not answer in time";
        Err(Error::new(ErrorKind::Connect, message))
    })
}
