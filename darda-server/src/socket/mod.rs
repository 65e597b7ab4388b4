//! `darda.v1` over WebSocket: the upgrade, and the task of each connection.

mod connection;
mod dispatch;
mod frame;
mod handshake;
mod patience;
mod stream;
mod work;

use std::time::Duration;

use darda_core::Session;
use hyper::upgrade::OnUpgrade;
use metrics::gauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::connection::{Connection, End};
pub use self::frame::Close;
pub(crate) use self::handshake::upgrade;
use self::stream::Stream;
use crate::router::AppState;
use crate::wire::{Hello, HelloLimits, MAX_FRAME_BYTES};
use crate::{limits, observe};

/// Serves one connection until it ends.
async fn serve(state: AppState, upgraded: OnUpgrade, session: Result<Session, Close>) {
    // It fails if the client left meanwhile.
    let Ok(upgraded) = upgraded.await else { return };
    let (stream, early) = Stream::new(upgraded);
    // What came right behind the request; only where another server's buffers made room for it.
    let session = if early.len() > MAX_FRAME_BYTES {
        Err(Close::FLOODING)
    } else {
        session
    };
    let (stream, unsent, end) = match session {
        Err(close) => (stream, Vec::new(), End::Closed(close)),
        Ok(session) => {
            let connections = gauge!(observe::CONNECTIONS);
            connections.increment(1);
            let mut connection = {
                let hello = hello(&state, &session);
                let heartbeat = state.options().heartbeat;
                Connection::new(
                    stream,
                    early,
                    state.chat().clone(),
                    session,
                    &hello,
                    heartbeat,
                )
            };
            drop(state);
            let end = std::future::poll_fn(|cx| connection.poll(cx)).await;
            connections.decrement(1);
            let (stream, unsent) = connection.into_parts();
            (stream, unsent, end)
        }
    };
    if let End::Closed(close) = end {
        tracing::debug!(
            code = close.code,
            reason = close.reason,
            "connection closed"
        );
        Box::pin(farewell(stream, unsent, close)).await;
    }
}

/// Says goodbye, and waits a little for the peer to hear it: data that it sent meanwhile would
/// otherwise make its system throw the close frame away.
async fn farewell(mut stream: Stream, mut unsent: Vec<u8>, close: Close) {
    frame::write_close(&mut unsent, close);
    let goodbye = async {
        stream.write_all(&unsent).await?;
        stream.shutdown().await?;
        let mut rest = vec![0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A peer that is gone already hears nothing: so be it.
    let _ = tokio::time::timeout(limits::FAREWELL, goodbye).await;
}

fn hello(state: &AppState, session: &Session) -> Vec<u8> {
    let id = session.id();
    let hello = Hello {
        user: session.user().as_str(),
        session: &format!("{}/{}", id.node, id.number),
        node: id.node.as_str(),
        heartbeat_ms: whole_ms(state.options().heartbeat),
        limits: HelloLimits::default(),
    };
    serde_json::to_vec(&hello).unwrap_or_default()
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
