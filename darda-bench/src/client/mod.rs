//! The load client: many WebSocket connections on one thread, over epoll by way of `mio`.
//!
//! It reads with one large buffer shared by all connections and hands out frames as slices of it,
//! so a frame costs a few nanoseconds and no allocation.

mod frames;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use self::frames::Decoded;
use crate::Result;

/// Large enough for a burst of a fan-out, small enough to stay in a core's own cache.
const READ_BUFFER: usize = 256 * 1024;
/// How long anything may take before it counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a count to grow, and ends when it has not for [`PATIENCE`].
#[derive(Debug)]
pub(crate) struct Patience<T> {
    most: T,
    since: Instant,
}

impl<T: PartialOrd> Patience<T> {
    pub(crate) fn new(count: T) -> Self {
        Self {
            most: count,
            since: Instant::now(),
        }
    }

    /// Takes what the count is now. Whether it has not grown for too long.
    pub(crate) fn ends(&mut self, count: T) -> bool {
        if count > self.most {
            *self = Self::new(count);
        }
        self.since.elapsed() > PATIENCE
    }
}

/// Who is told of what arrives.
pub(crate) trait Receive {
    /// A text frame.
    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()>;

    /// The connection is open for frames.
    fn opened(&mut self, _socket: usize) -> Result<()> {
        Ok(())
    }

    /// What was there to read of this connection has been handed over.
    fn drained(&mut self, _socket: usize) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut(usize, &[u8]) -> Result<()>> Receive for F {
    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        self(socket, payload)
    }
}

/// Connections, numbered in the order of their making.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    poll: Poll,
    events: Events,
    sockets: Vec<Option<Socket>>,
    buffer: Vec<u8>,
    open: usize,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    phase: Phase,
    /// The front of a frame whose rest has not arrived.
    rest: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Phase {
    Connecting,
    Upgrading,
    Open,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            address,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sockets: Vec::new(),
            buffer: vec![0; READ_BUFFER],
            open: 0,
        })
    }

    /// Where connections go that are made from now on.
    pub(crate) fn aim(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Begins to connect; [`Receive::opened`] follows. The socket's number is returned.
    pub(crate) fn connect(&mut self, path: &str) -> Result<usize> {
        let number = self.sockets.len();
        let mut stream = TcpStream::connect(self.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(number), interest)?;
        let host = self.address;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: darda.v1\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.sockets.push(Some(Socket {
            stream,
            phase: Phase::Connecting,
            rest: Vec::new(),
            out: request.into_bytes(),
        }));
        Ok(number)
    }

    /// Connects to all paths, at most 256 at a time, and waits until they are open. The deadline is
    /// that of the next to open.
    pub(crate) fn connect_all(
        &mut self,
        paths: impl IntoIterator<Item = String>,
        receive: &mut impl Receive,
    ) -> Result<std::ops::Range<usize>> {
        let first = self.sockets.len();
        let mut paths = paths.into_iter().peekable();
        let mut connected = self.open;
        let mut deadline = Instant::now() + PATIENCE;
        while paths.peek().is_some() || self.open < connected {
            while connected - self.open < 256
                && let Some(path) = paths.next()
            {
                self.connect(&path)?;
                connected += 1;
            }
            let open = self.open;
            self.turn_until(deadline, receive)?;
            if self.open > open {
                deadline = Instant::now() + PATIENCE;
            }
        }
        Ok(first..self.sockets.len())
    }

    /// Queues a text frame; [`flush`](Self::flush) sends what is queued.
    pub(crate) fn queue(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        frames::text(&mut self.socket(socket)?.out, payload);
        Ok(())
    }

    /// Sends what is queued, as far as the socket takes it; the rest follows by itself.
    pub(crate) fn flush(&mut self, socket: usize) -> Result<()> {
        self.socket(socket)?.write()
    }

    /// Drops these connections without a goodbye: the peer sees a reset.
    pub(crate) fn cut(&mut self, sockets: std::ops::Range<usize>) -> Result<()> {
        for number in sockets {
            if let Some(socket) = self.sockets.get_mut(number).and_then(Option::take) {
                self.open -= usize::from(socket.phase == Phase::Open);
                // Also spares the machine thousands of sockets in TIME_WAIT.
                rustix::net::sockopt::set_socket_linger(&socket.stream, Some(Duration::ZERO))?;
            }
        }
        Ok(())
    }

    /// As [`turn`](Self::turn), and an error when the deadline has passed.
    pub(crate) fn turn_until(
        &mut self,
        deadline: Instant,
        receive: &mut impl Receive,
    ) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("what was awaited did not come in time: lost".into());
        }
        self.turn(Some(left), receive)
    }

    /// Waits for the next thing to happen on any connection and hands over all that has.
    pub(crate) fn turn(
        &mut self,
        timeout: Option<Duration>,
        receive: &mut impl Receive,
    ) -> Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let number = event.token().0;
            let Some(socket) = self.sockets.get_mut(number).and_then(Option::as_mut) else {
                continue;
            };
            if socket.phase == Phase::Connecting {
                if let Some(error) = socket.stream.take_error()? {
                    return Err(error.into());
                }
                if !event.is_writable() {
                    continue;
                }
                socket.stream.set_nodelay(true)?;
                socket.phase = Phase::Upgrading;
            }
            if event.is_writable() && !socket.out.is_empty() {
                socket.write()?;
            }
            if event.is_readable() {
                self.open += usize::from(socket.read(number, &mut self.buffer, receive)?);
                receive.drained(number)?;
            }
        }
        Ok(())
    }

    fn socket(&mut self, number: usize) -> Result<&mut Socket> {
        let socket = self.sockets.get_mut(number).and_then(Option::as_mut);
        socket.ok_or_else(|| "the connection was cut".into())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Nothing to be done for a socket that cannot be reset: it closes in the usual way.
        let _ = self.cut(0..self.sockets.len());
    }
}

impl Socket {
    fn write(&mut self) -> Result<()> {
        if self.phase == Phase::Connecting {
            return Ok(());
        }
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }

    /// Reads and hands over all that is there. Says whether the connection opened meanwhile.
    fn read(
        &mut self,
        number: usize,
        buffer: &mut [u8],
        receive: &mut impl Receive,
    ) -> Result<bool> {
        let mut opened = false;
        loop {
            let kept = self.rest.len();
            if kept == buffer.len() {
                return Err("a frame larger than the read buffer".into());
            }
            buffer[..kept].copy_from_slice(&self.rest);
            let count = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(opened),
                Err(error) => return Err(error.into()),
            };
            let filled = kept + count;
            let mut at = 0;
            if self.phase == Phase::Upgrading {
                match upgraded(&buffer[..filled])? {
                    None => {
                        keep(&mut self.rest, &buffer[..filled]);
                        continue;
                    }
                    Some(end) => at = end,
                }
                self.phase = Phase::Open;
                opened = true;
                receive.opened(number)?;
            }
            at += self.hand_over(number, &buffer[at..filled], receive)?;
            keep(&mut self.rest, &buffer[at..filled]);
            // The registration is edge-triggered, and a short read means that the kernel has no
            // more: asking again would cost a system call a burst.
            if filled < buffer.len() {
                return Ok(opened);
            }
        }
    }

    #[inline]
    fn hand_over(
        &mut self,
        number: usize,
        bytes: &[u8],
        receive: &mut impl Receive,
    ) -> Result<usize> {
        let mut at = 0;
        loop {
            match frames::decode(&bytes[at..])? {
                Decoded::Text(payload, taken) => {
                    receive.frame(number, payload)?;
                    at += taken;
                }
                Decoded::Ping(payload, taken) => {
                    frames::pong(&mut self.out, payload);
                    self.write()?;
                    at += taken;
                }
                Decoded::Pong(taken) => at += taken,
                Decoded::Close(code) => {
                    return Err(format!("the server closed a connection with {code}").into());
                }
                Decoded::Partial => return Ok(at),
            }
        }
    }
}

fn keep(rest: &mut Vec<u8>, bytes: &[u8]) {
    rest.clear();
    rest.extend_from_slice(bytes);
}

/// Where the answer to the upgrade ends, if it is whole. Anything but a switch is an error.
fn upgraded(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    if bytes.starts_with(b"HTTP/1.1 101 ") {
        return Ok(Some(end + 4));
    }
    let answer = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    Err(format!("the server refused the upgrade: {answer}").into())
}

/// Spreads what is to connect evenly over servers: the first ones to the first server, and so on.
pub(crate) fn spread<'a, T>(
    all: &'a [T],
    at: &'a [SocketAddr],
) -> impl Iterator<Item = (SocketAddr, &'a [T])> {
    let share = all.len().div_ceil(at.len().max(1)).max(1);
    at.iter().copied().zip(all.chunks(share))
}

/// An address on the loopback that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let probe = std::net::TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?;
    Ok(probe.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_spread_evenly_and_in_order() {
        let at = [1, 2].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let all = [0, 1, 2, 3, 4];
        let spread: Vec<_> = spread(&all, &at).collect();
        assert_eq!(spread, [(at[0], &all[..3]), (at[1], &all[3..])]);
    }
}
