//! Carries a client's frames: one WebSocket after another, to any gateway that stands open.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Client, backoff, events};
use crate::wire::SUBPROTOCOL;

/// How long connecting may take, to the hello.
const CONNECT: Duration = Duration::from_secs(8);
/// How often a client looks what is due.
const TICK: Duration = Duration::from_millis(50);

type Socket = WebSocketStream<TcpStream>;

/// Lives for ever: session after session.
pub(crate) async fn live(client: Arc<Client>) {
    let (mut failures, mut dead) = (0, None);
    loop {
        // Between two sessions, and before a failed one is tried again.
        let wait = backoff(failures, &mut client.state.lock().rng);
        sleep(wait).await;
        let door = client.doors.pick(&mut client.state.lock().rng, dead);
        let connected = match door {
            Some(door) => timeout(CONNECT, connect(&client, door))
                .await
                .ok()
                .flatten(),
            None => None,
        };
        let Some(socket) = connected else {
            failures += 1;
            dead = door;
            continue;
        };
        (failures, dead) = (0, None);
        carry(&client, socket).await;
        client.state.lock().disconnected();
    }
}

async fn connect(client: &Client, door: std::net::SocketAddr) -> Option<Socket> {
    let stream = TcpStream::connect(door).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let url = format!("ws://{door}/v1/ws?id={}", client.user);
    let mut request = url.into_client_request().ok()?;
    let offered = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offered);
    // Small buffers: there are hundreds of these.
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0);
    let made = client_async_with_config(request, stream, Some(config)).await;
    let (mut socket, _) = made.ok()?;
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) if events::is_hello(&text) => {
                client.state.lock().frame(&text);
                return Some(socket);
            }
            Message::Close(_) | Message::Text(_) => return None,
            _ => {}
        }
    }
}

/// Until the connection is gone, or given up.
async fn carry(client: &Client, mut socket: Socket) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let out = client.state.lock().take_out();
        for frame in out {
            if socket.feed(Message::text(frame)).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
        tokio::select! {
            came = socket.next() => match came {
                Some(Ok(Message::Text(text))) => {
                    if !client.state.lock().frame(&text) {
                        client.state.lock().note_strange(&text);
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => client.state.lock().heard(),
            },
            () = client.poke.notified() => {}
            _ = tick.tick() => {}
        }
        let stays = client.state.lock().tick(Instant::now());
        if !stays {
            // Who leaves by itself says so, and does not wait for the answer.
            let _: Result<Result<(), Error>, _> =
                timeout(Duration::from_millis(200), socket.close(None)).await;
            return;
        }
    }
}
