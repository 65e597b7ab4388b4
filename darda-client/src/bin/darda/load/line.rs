//! A WebSocket without any care: frames out, frames in, whatever protocol they are of.
//!
//! One task reads and writes it. Where the socket takes no more, frames wait, and reading goes on.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use crate::Result;

/// Frames that wait for the socket.
const WAITING: usize = 256;
/// Thousands of connections have a buffer each.
const READ_BUFFER: usize = 4 * 1024;
/// For a connection, and for each answer while everything is made.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Without a close frame.
const ABNORMAL: u16 = 1006;

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: VecDeque<Utf8Bytes>,
    is_flushed: bool,
    ended: Option<u16>,
}

/// What comes over a connection.
#[derive(Debug)]
pub(super) enum Incoming {
    Frame(Utf8Bytes),
    /// It has ended, with this close code. Nothing follows.
    Closed(u16),
}

impl Line {
    pub(super) async fn open(
        url: &str,
        subprotocol: Option<&'static str>,
        connector: Connector,
    ) -> Result<Self> {
        let mut request = url.into_client_request()?;
        if let Some(subprotocol) = subprotocol {
            let offered = HeaderValue::from_static(subprotocol);
            request
                .headers_mut()
                .insert("sec-websocket-protocol", offered);
        }
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        // A chat sends small frames, and each at once.
        let no_delay = true;
        let connecting =
            connect_async_tls_with_config(request, Some(config), no_delay, Some(connector));
        let (socket, _) = timeout(PATIENCE, connecting)
            .await
            .map_err(|_| format!("{url} does not answer"))?
            .map_err(|error| format!("{url}: {error}"))?;
        Ok(Self {
            socket,
            waiting: VecDeque::new(),
            is_flushed: true,
            ended: None,
        })
    }

    /// Lets a frame wait for the socket; [`Self::next`] writes it. `false`: 256 wait already, or the
    /// connection has ended.
    pub(super) fn put(&mut self, frame: impl Into<Utf8Bytes>) -> bool {
        let takes = self.ended.is_none() && self.waiting.len() < WAITING;
        if takes {
            self.waiting.push_back(frame.into());
        }
        takes
    }

    /// Writes what waits, and says what comes next; `Closed` is the last. Cancel-safe.
    pub(super) async fn next(&mut self) -> Incoming {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Incoming> {
        if let Some(code) = self.ended {
            return Poll::Ready(Incoming::Closed(code));
        }
        loop {
            let code = match self.write(context) {
                Err(_) => ABNORMAL,
                Ok(()) => match self.socket.poll_next_unpin(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(Message::Text(text)))) => {
                        return Poll::Ready(Incoming::Frame(text));
                    }
                    Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                        frame.map_or(ABNORMAL, |frame| frame.code.into())
                    }
                    Poll::Ready(Some(Ok(_))) => {
                        // The answer to a ping waits in the socket.
                        self.is_flushed = false;
                        continue;
                    }
                    Poll::Ready(Some(Err(_)) | None) => ABNORMAL,
                },
            };
            self.ended = Some(code);
            return Poll::Ready(Incoming::Closed(code));
        }
    }

    /// As much as the socket takes now.
    fn write(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        while !self.waiting.is_empty() {
            match self.socket.poll_ready_unpin(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready?,
            }
            if let Some(frame) = self.waiting.pop_front() {
                self.socket.start_send_unpin(Message::Text(frame))?;
                self.is_flushed = false;
            }
        }
        if !self.is_flushed
            && let Poll::Ready(flushed) = self.socket.poll_flush_unpin(context)
        {
            flushed?;
            self.is_flushed = true;
        }
        Ok(())
    }

    /// Waits for a frame that `pick` makes something of; the others are read over.
    pub(super) async fn until<T>(
        &mut self,
        mut pick: impl FnMut(&mut Self, &str) -> Result<Option<T>>,
    ) -> Result<T> {
        let found = async {
            loop {
                match self.next().await {
                    Incoming::Frame(frame) => {
                        for line in frame.lines() {
                            if let Some(found) = pick(self, line)? {
                                return Ok(found);
                            }
                        }
                    }
                    Incoming::Closed(code) => {
                        return Err(format!("the server closed with {code}").into());
                    }
                }
            }
        };
        timeout(PATIENCE, found)
            .await
            .map_err(|_| "no answer while the load was set up")?
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        // Whoever does not take it sees the connection end.
        drop(timeout(GOODBYE, self.socket.close(None)).await);
    }
}
