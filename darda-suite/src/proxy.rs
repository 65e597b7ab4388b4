//! A network that misbehaves: a proxy in front of one device, that cuts, delays, truncates, half-closes,
//! and loses or doubles frames of the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::Result;
use crate::frames::{Frames, Piece};
use crate::scenario::{Fault, Side, What};

/// Small, so that a server notices soon that nobody reads.
const RECEIVE_BUFFER: u32 = 8 * 1024;
/// Pieces that are under way in one direction.
const UNDER_WAY: usize = 64;

/// A proxy in front of one device.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    control: Arc<Control>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Control {
    server: watch::Sender<u16>,
    passage: watch::Sender<Passage>,
    cut: watch::Sender<u64>,
    half_closed: watch::Sender<(u64, Option<Side>)>,
    plan: Mutex<Plan>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Open,
    Refused,
    Swallowed,
    Stalled,
}

/// What happens to what comes from the server.
#[derive(Debug, Default)]
struct Plan {
    delay: Duration,
    /// Bytes that are passed before the connection is cut.
    truncate: Option<usize>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    deed: Deed,
    what: What,
    left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Drop,
    Repeat,
    Swap,
}

impl Proxy {
    /// Listens on a free port, in front of a server on another one.
    pub(crate) async fn start(server: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let control = Arc::new(Control {
            server: watch::Sender::new(server),
            passage: watch::Sender::new(Passage::Open),
            cut: watch::Sender::new(0),
            half_closed: watch::Sender::new((0, None)),
            plan: Mutex::default(),
        });
        let listening = tokio::spawn(listen(listener, control.clone()));
        Ok(Self {
            port,
            control,
            listening,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where the server is from now on.
    pub(crate) fn leads_to(&self, server: u16) {
        self.control.server.send_replace(server);
    }

    pub(crate) fn do_to(&self, fault: Fault) {
        let control = &self.control;
        let mut plan = control.plan();
        let mut rule = |deed, what, left| plan.rules.push(Rule { deed, what, left });
        match fault {
            Fault::Cut => control.cut.send_modify(|cuts| *cuts += 1),
            Fault::Refuse => drop(control.passage.send_replace(Passage::Refused)),
            Fault::Open => drop(control.passage.send_replace(Passage::Open)),
            Fault::Swallow => drop(control.passage.send_replace(Passage::Swallowed)),
            Fault::Stall => drop(control.passage.send_replace(Passage::Stalled)),
            Fault::Delay { ms } => plan.delay = Duration::from_millis(ms),
            Fault::Truncate { bytes } => plan.truncate = Some(bytes),
            Fault::HalfClose { side } => {
                control.half_closed.send_modify(|(times, last)| {
                    *times += 1;
                    *last = Some(side);
                });
            }
            Fault::Drop { what, count } => rule(Deed::Drop, what, count),
            Fault::Repeat { what, count } => rule(Deed::Repeat, what, count),
            Fault::Swap { what } => rule(Deed::Swap, what, 1),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.control.cut.send_modify(|cuts| *cuts += 1);
    }
}

impl Control {
    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until_not(&self, passage: Passage) {
        // The sender is in `self`.
        let _ = self
            .passage
            .subscribe()
            .wait_for(|now| *now != passage)
            .await;
    }
}

async fn listen(listener: TcpListener, control: Arc<Control>) {
    while let Ok((client, _)) = listener.accept().await {
        let refused = *control.passage.borrow() == Passage::Refused;
        if !refused {
            tokio::spawn(pass(client, control.clone()));
        }
    }
}

/// One connection, until it has ended or is cut.
async fn pass(mut client: TcpStream, control: Arc<Control>) {
    let mut cut = control.cut.subscribe();
    let port = *control.server.borrow();
    let Ok(mut server) = connect(port).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let was_cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            let up = upwards(from_client, to_server, &control);
            let down = downwards(from_server, to_client, &control);
            tokio::join!(up, down).1
        };
        tokio::select! {
            _ = cut.changed() => true,
            truncated = both => truncated,
        }
    };
    if was_cut {
        // As when a machine loses its power: what is on its way is lost.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(([127, 0, 0, 1], port).into()).await
}

async fn upwards(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, control: &Control) {
    let (put, mut take) = mpsc::channel(UNDER_WAY);
    let reading = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + control.plan().delay;
            if put.send((due, buffer[..read].to_vec())).await.is_err() {
                break;
            }
        }
        drop(put);
    };
    let writing = async {
        let mut closed = control.half_closed.subscribe();
        loop {
            let next = tokio::select! {
                next = take.recv() => next,
                side = half_closed(&mut closed) => match side {
                    Side::Server => None,
                    Side::Client => continue,
                },
            };
            let Some((due, bytes)) = next else { break };
            sleep_until(due).await;
            control.until_not(Passage::Swallowed).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        control.until_not(Passage::Swallowed).await;
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

/// Whether the connection is to be cut: it was truncated.
async fn downwards(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, control: &Control) -> bool {
    let (put, mut take) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let reading = async {
        let mut buffer = vec![0; 16 * 1024];
        let (mut frames, mut held) = (Frames::default(), None);
        loop {
            control.until_not(Passage::Stalled).await;
            let Ok(read @ 1..) = from.read(&mut buffer).await else {
                break;
            };
            frames.push(&buffer[..read]);
            let due = Instant::now() + control.plan().delay;
            let mut bytes = Vec::new();
            while let Some(piece) = frames.next() {
                control.plan().apply(piece, &mut held, &mut bytes);
            }
            if !bytes.is_empty() && put.send((due, bytes)).await.is_err() {
                break;
            }
        }
        drop(put);
    };
    let writing = async {
        let mut closed = control.half_closed.subscribe();
        let mut truncated = false;
        loop {
            let next = tokio::select! {
                next = take.recv() => next,
                side = half_closed(&mut closed) => match side {
                    Side::Client => None,
                    Side::Server => continue,
                },
            };
            let Some((due, mut bytes)) = next else { break };
            sleep_until(due).await;
            control.until_not(Passage::Swallowed).await;
            if let Some(left) = &mut control.plan().truncate {
                truncated = bytes.len() > *left;
                bytes.truncate(*left);
                *left -= bytes.len();
            }
            if to.write_all(&bytes).await.is_err() || truncated {
                break;
            }
        }
        if truncated {
            control.plan().truncate = None;
            let _ = to.flush().await;
            return true;
        }
        control.until_not(Passage::Swallowed).await;
        let _ = to.shutdown().await;
        // What still comes is read and goes nowhere.
        while take.recv().await.is_some() {}
        false
    };
    tokio::select! {
        truncated = writing => truncated,
        truncated = async { reading.await; std::future::pending().await } => truncated,
    }
}

/// When one side is half-closed.
async fn half_closed(closed: &mut watch::Receiver<(u64, Option<Side>)>) -> Side {
    loop {
        if closed.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let (_, Some(side)) = *closed.borrow_and_update() {
            return side;
        }
    }
}

impl Plan {
    /// Does to a piece what the first rule for it says.
    fn apply(&mut self, piece: Piece, held: &mut Option<Piece>, out: &mut Vec<u8>) {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.left > 0 && piece.is(rule.what));
        let deed = rule.map(|rule| {
            rule.left -= 1;
            rule.deed
        });
        match deed {
            Some(Deed::Drop) => return,
            Some(Deed::Swap) if held.is_none() => {
                *held = Some(piece);
                return;
            }
            Some(Deed::Repeat) => {
                out.extend_from_slice(&piece.bytes);
                out.extend_from_slice(&piece.bytes);
            }
            _ => out.extend_from_slice(&piece.bytes),
        }
        if let Some(held) = held.take() {
            out.extend_from_slice(&held.bytes);
        }
    }
}
