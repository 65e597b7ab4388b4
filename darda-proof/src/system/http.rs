//! What is not live, over HTTP, as the protocol's page has it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use darda_core::model::UserId;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::wire::Failure;

const PATIENCE: Duration = Duration::from_secs(15);
/// A request that can succeed later is made so often.
const ATTEMPTS: usize = 30;

/// A connection to one node, as any user.
#[derive(Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

#[derive(Deserialize)]
struct Refused {
    error: Failure,
}

impl Http {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    /// Whether the node takes connections.
    pub(crate) async fn is_there(&self) -> bool {
        matches!(
            timeout(PATIENCE, TcpStream::connect(self.address)).await,
            Ok(Ok(_))
        )
    }

    /// Reads something as a user. `None`: the user may not know of it. What can succeed later is
    /// tried again.
    pub(crate) async fn read<T: DeserializeOwned>(
        &mut self,
        user: &UserId,
        path: &str,
    ) -> Result<Option<T>> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match timeout(PATIENCE, self.get(user, path)).await {
                Ok(Ok((200, body))) => return Ok(Some(serde_json::from_slice(&body)?)),
                Ok(Ok((404, _))) => return Ok(None),
                Ok(Ok((status, body))) => {
                    let refused: Refused = serde_json::from_slice(&body)?;
                    last = format!("{status}: {}", refused.error.message);
                    let Some(wait) = refused.error.retry_after() else {
                        break;
                    };
                    sleep(wait).await;
                }
                Ok(Err(error)) => {
                    last = error.to_string();
                    self.sender = None;
                    sleep(Duration::from_millis(500)).await;
                }
                Err(_) => {
                    "no answer".clone_into(&mut last);
                    self.sender = None;
                }
            }
        }
        Err(format!("GET {path} as {user}: {last}").into())
    }

    async fn get(&mut self, user: &UserId, path: &str) -> Result<(u16, Bytes)> {
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        sender.ready().await?;
        let and = if path.contains('?') { '&' } else { '?' };
        let request = Request::get(format!("{path}{and}id={user}"))
            .header("host", self.address.to_string())
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok((status, body))
    }
}
