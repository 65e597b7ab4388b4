//! The accept loop: bounded in how many sockets it holds and in how long one may say nothing.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::{limits, observe};

/// Of a request's head; more is refused by hyper with 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long to wait when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The settings of [`serve`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// TCP connections at a time; what comes above is closed at once. Default: 16,384.
    pub max_sockets: usize,
    /// How long the head of a request may take. Default: [`limits::HEADER_TIMEOUT`].
    pub header_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_sockets: 16_384,
            header_timeout: limits::HEADER_TIMEOUT,
        }
    }
}

impl ServeOptions {
    /// Sets [`max_sockets`](Self::max_sockets).
    #[must_use]
    pub fn with_max_sockets(mut self, max_sockets: usize) -> Self {
        self.max_sockets = max_sockets;
        self
    }

    /// Sets [`header_timeout`](Self::header_timeout).
    #[must_use]
    pub fn with_header_timeout(mut self, header_timeout: Duration) -> Self {
        self.header_timeout = header_timeout;
        self
    }
}

/// A socket's place among those that there may be. A WebSocket keeps it after the upgrade.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    _taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken(#[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit);

impl Seat {
    fn take(permit: OwnedSemaphorePermit) -> Self {
        gauge!(observe::SOCKETS).increment(1);
        Self {
            _taken: Arc::new(Taken(permit)),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        gauge!(observe::SOCKETS).decrement(1);
    }
}

/// Accepts connections and serves them until `stop`; those that are open then end with their
/// request. `tasks` knows them all.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let seats = Arc::new(Semaphore::new(options.max_sockets));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_the_peers(&error) {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Ok(permit) = seats.clone().try_acquire_owned() else {
            counter!(observe::SOCKETS_REFUSED).increment(1);
            continue;
        };
        let (seat, router) = (Seat::take(permit), router.clone());
        tasks.spawn(one(
            stream,
            seat,
            router,
            options.header_timeout,
            stop.clone(),
        ));
    }
}

/// Whether the connection failed, and not the accepting.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn one(
    stream: TcpStream,
    seat: Seat,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    // A socket that says nothing costs no more than this future.
    let speaks = tokio::time::timeout(header_timeout, stream.readable());
    let spoke = tokio::select! {
        () = stop.cancelled() => return,
        spoke = speaks => spoke,
    };
    if !matches!(spoke, Ok(Ok(()))) {
        return;
    }
    // Only a latency's worth is lost where it cannot be set.
    let _ = stream.set_nodelay(true);
    Box::pin(requests(stream, seat, router, header_timeout, stop)).await;
}

async fn requests(
    stream: TcpStream,
    seat: Seat,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(seat.clone());
        let answered = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.cancelled() => None,
        () = tokio::time::sleep(limits::HTTP_LIFETIME) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits::LAST_REQUEST, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}
