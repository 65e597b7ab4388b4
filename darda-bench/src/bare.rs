//! The bare server: axum's WebSocket and only the unavoidable part of each work. It keeps nothing,
//! checks nobody, and passes frames on as they are. Its writes are coalesced: it feeds all that
//! waits, then flushes once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpSocket;
use tokio::sync::{broadcast, mpsc};

use crate::Result;
use crate::stamp::STAMP;

/// More than any window: a subscriber that lags behind this is a failure of the run.
const WAITING: usize = 4096;
const SMALL_BUFFER: usize = 4 * 1024;

#[derive(Debug, Clone)]
struct Bare {
    published: broadcast::Sender<Utf8Bytes>,
    relayed: Arc<Mutex<HashMap<String, mpsc::Sender<Utf8Bytes>>>>,
}

/// Serves until the process is ended.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(4096)?.tap_io(|stream| {
                // Only a latency's worth is lost where it can't be set.
                let _ = stream.set_nodelay(true);
            });
            let bare = Bare {
                published: broadcast::channel(WAITING).0,
                relayed: Arc::default(),
            };
            let router = Router::new()
                .route("/echo", get(echo))
                .route("/publish", get(publish))
                .route("/subscribe", get(subscribe))
                .route("/relay", get(relay))
                .with_state(bare);
            axum::serve(listener, router).await?;
            Ok(())
        })
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.protocols(["darda.v1"]);
    let upgrade = upgrade
        .read_buffer_size(SMALL_BUFFER)
        .write_buffer_size(SMALL_BUFFER);
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Text(_)) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn publish(upgrade: WebSocketUpgrade, State(bare): State<Bare>) -> Response {
    upgrade
        .protocols(["darda.v1"])
        .on_upgrade(async move |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Text(text) = message {
                    // Nobody listens yet: nobody misses it.
                    let _ = bare.published.send(text);
                }
            }
        })
}

async fn subscribe(upgrade: WebSocketUpgrade, State(bare): State<Bare>) -> Response {
    // Subscribed before the upgrade is answered: who sees the answer misses nothing.
    let published = bare.published.subscribe();
    upgrade
        .protocols(["darda.v1"])
        .on_upgrade(async move |socket| {
            // A subscriber that lags or leaves ends, and the client sees it.
            let _ = hand_out(socket, published).await;
        })
}

async fn hand_out(socket: WebSocket, mut published: broadcast::Receiver<Utf8Bytes>) -> Result<()> {
    let (mut writer, mut reader) = socket.split();
    loop {
        tokio::select! {
            biased;
            text = published.recv() => {
                writer.feed(Message::Text(text?)).await?;
                loop {
                    match published.try_recv() {
                        Ok(text) => writer.feed(Message::Text(text)).await?,
                        Err(broadcast::error::TryRecvError::Empty) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                writer.flush().await?;
            }
            read = reader.next() => match read {
                Some(Ok(_)) => {}
                _ => return Ok(()),
            },
        }
    }
}

async fn relay(
    upgrade: WebSocketUpgrade,
    Query(names): Query<HashMap<String, String>>,
    State(bare): State<Bare>,
) -> Response {
    let name = |key: &str| names.get(key).cloned().unwrap_or_default();
    let (me, peer) = (name("id"), name("to"));
    let (mine, incoming) = mpsc::channel(WAITING);
    bare.relayed().insert(me, mine);
    upgrade
        .protocols(["darda.v1"])
        .on_upgrade(async move |socket| {
            let _ = pass_on(socket, bare, peer, incoming).await;
        })
}

/// Each text goes to the peer as it is, and its stamp back to the sender as the ack.
async fn pass_on(
    mut socket: WebSocket,
    bare: Bare,
    peer: String,
    mut incoming: mpsc::Receiver<Utf8Bytes>,
) -> Result<()> {
    let mut route = None;
    loop {
        tokio::select! {
            text = incoming.recv() => socket.feed(Message::Text(text.ok_or("gone")?)).await?,
            read = socket.next() => {
                let Some(Ok(message)) = read else { return Ok(()) };
                forward(&mut socket, &bare, &peer, &mut route, message).await?;
            }
        }
        while let Ok(text) = incoming.try_recv() {
            socket.feed(Message::Text(text)).await?;
        }
        while let Some(Some(read)) = socket.next().now_or_never() {
            forward(&mut socket, &bare, &peer, &mut route, read?).await?;
        }
        socket.flush().await?;
    }
}

async fn forward(
    socket: &mut WebSocket,
    bare: &Bare,
    peer: &str,
    route: &mut Option<mpsc::Sender<Utf8Bytes>>,
    message: Message,
) -> Result<()> {
    let Message::Text(text) = message else {
        return Ok(());
    };
    if route.is_none() {
        *route = bare.relayed().get(peer).cloned();
    }
    let ack = text.get(..STAMP).unwrap_or_default().into();
    route.as_ref().ok_or("no such peer")?.try_send(text)?;
    socket.feed(Message::Text(ack)).await?;
    Ok(())
}

impl Bare {
    fn relayed(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::Sender<Utf8Bytes>>> {
        self.relayed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
