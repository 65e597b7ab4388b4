//! A TCP proxy that cuts connections, or keeps them open while nothing passes.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Result;

/// What the proxy does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Passes everything on.
    Open,
    /// Takes connections and bytes and passes nothing on, as a network that drops all packets: the
    /// connection looks healthy.
    Swallowing,
    /// Closes new connections at once.
    Refusing,
}

/// A TCP proxy in front of a server. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    passage: Arc<watch::Sender<Passage>>,
    cut: Arc<watch::Sender<u64>>,
    _stop: DropGuard,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes on to a port there.
    ///
    /// # Errors
    /// `Failed` when it cannot listen.
    pub async fn start(to: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stop = CancellationToken::new();
        let proxy = Self {
            address: listener.local_addr()?,
            passage: Arc::new(watch::Sender::new(Passage::Open)),
            cut: Arc::new(watch::Sender::new(0)),
            _stop: stop.clone().drop_guard(),
        };
        let (passage, cut) = (proxy.passage.clone(), proxy.cut.clone());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((client, _)) = accepted else { continue };
                if *passage.borrow() == Passage::Refusing {
                    continue;
                }
                let (passage, mut cut) = (passage.subscribe(), cut.subscribe());
                let stop = stop.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = cut.changed() => {}
                        () = pass(client, to, passage) => {}
                    }
                });
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of the server, by way of this proxy.
    #[must_use]
    pub fn instead_of(&self, port: u16, url: &str) -> String {
        url.replace(&format!(":{port}"), &format!(":{}", self.port()))
    }

    /// From now on, for open connections and new ones.
    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }

    /// Closes all connections that are open now.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(client: TcpStream, to: u16, passage: watch::Receiver<Passage>) {
    if wait_open(&mut passage.clone()).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = carry(from_client, to_server, passage.clone()) => {}
        () = carry(from_server, to_client, passage) => {}
    }
}

/// One direction: what was taken while nothing passes waits, as packets that are sent again do.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read) = from.read(&mut buffer).await else {
            return;
        };
        if wait_open(&mut passage).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn wait_open(
    passage: &mut watch::Receiver<Passage>,
) -> std::result::Result<(), watch::error::RecvError> {
    passage
        .wait_for(|passage| *passage != Passage::Swallowing)
        .await
        .map(drop)
}
