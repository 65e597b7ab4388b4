//! One connection: a small state machine that a single task polls. Each turn gathers all that there
//! is to say (replies, events, pongs) and writes it at once.
//!
//! Bounds: while a client does not take what was written, nothing more is made for it (the
//! session's own queue fills, and says so by a gap) and nothing is read from it. Commands under way
//! are bounded, too, and frames by their length.
//!
//! Over a slow link a ping may wait for minutes behind a large reply, and its pong for longer. So a peer
//! that takes more of what waited for it is heard as well: the system only has room again for what the
//! peer has acknowledged.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use darda_core::ports::Event;
use darda_core::{Chat, ErrorKind, Session, wake_once};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::frame::{self, Assembly, Close, Incoming, MAX_HEADER_BYTES, Step};
use super::patience::Patience;
use super::stream::Stream;
use super::work::{Outcome, Work};
use crate::error::{Code, Failure};
use crate::wire::{self, AckView, Command, DecodeError, Empty, MAX_FRAME_BYTES};

/// Bytes that are gathered before they are written.
const OUTPUT_HIGH_WATER: usize = 128 * 1024;
/// Bytes that are read at once, unless a larger frame is on its way.
const READ_CHUNK: usize = 16 * 1024;
/// Rounds before other tasks get their turn.
const MAX_ROUNDS: usize = 16;
/// Memory that a thread keeps for writing.
const MAX_KEPT_OUTPUT: usize = 1024 * 1024;
/// Malformed frames that are borne at once, and how soon one more is: then 4400.
const MALFORMED: (u32, Duration) = (32, Duration::from_secs(1));
/// Refused commands, pings and the like that are borne at once, and how soon one more is: then 4429.
const REFUSED: (u32, Duration) = (1000, Duration::from_millis(20));

/// How a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer is gone.
    Gone,
    /// With a close frame.
    Closed(Close),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Closed(close)
    }
}

/// Buffers that all connections of a thread share: each needs them only while it is polled.
struct Scratch {
    input: Box<[u8]>,
    events: Vec<Event>,
    out: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

impl Scratch {
    fn take() -> Self {
        SCRATCH.take().unwrap_or_else(|| Self {
            input: vec![0; MAX_FRAME_BYTES + MAX_HEADER_BYTES + READ_CHUNK].into_boxed_slice(),
            events: Vec::new(),
            out: Vec::new(),
        })
    }

    fn give_back(mut self) {
        self.out.clear();
        self.out.shrink_to(MAX_KEPT_OUTPUT);
        SCRATCH.set(Some(self));
    }
}

pub(crate) struct Connection {
    stream: Stream,
    chat: Chat,
    session: Arc<Session>,
    /// What was read and not taken yet: the front of a frame, or frames that wait for room.
    kept: Vec<u8>,
    assembly: Assembly,
    /// Given up at a heartbeat when nothing is under way.
    work: Option<Box<Work>>,
    /// Events that were taken and not written yet.
    backlog: std::vec::IntoIter<Event>,
    unsent: Vec<u8>,
    beat: Pin<Box<Sleep>>,
    heartbeat: Duration,
    /// Whether a frame came since the last beat, or something was taken that had waited.
    heard: bool,
    /// Whether the system had no room for all that was written last.
    stuck: bool,
    malformed: Patience,
    refused: Patience,
}

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        early: Vec<u8>,
        chat: Chat,
        session: Session,
        hello: &[u8],
        heartbeat: Duration,
    ) -> Self {
        let mut unsent = Vec::with_capacity(hello.len() + MAX_HEADER_BYTES);
        frame::write_text(&mut unsent, hello);
        Self {
            stream,
            chat,
            session: Arc::new(session),
            kept: early,
            assembly: Assembly::default(),
            work: None,
            backlog: Vec::new().into_iter(),
            unsent,
            beat: Box::pin(tokio::time::sleep(heartbeat)),
            heartbeat,
            heard: true,
            stuck: false,
            malformed: Patience::new(MALFORMED.0, MALFORMED.1),
            refused: Patience::new(REFUSED.0, REFUSED.1),
        }
    }

    /// Drives the connection until it ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut scratch = Scratch::take();
        let end = wake_once(|| self.turn(cx, &mut scratch));
        // What a turn did not get to write is written by the next one, or before the close.
        self.unsent.append(&mut scratch.out);
        scratch.give_back();
        match end {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// The stream and what is still to be written, for the goodbye.
    pub(crate) fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.unsent)
    }

    /// Returns `Ok` when there is nothing to do until the task is woken.
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<(), End> {
        self.beat(cx)?;
        for _ in 0..MAX_ROUNDS {
            if self.poll_write(cx, &mut scratch.out)?.is_pending() {
                return Ok(());
            }
            let mut idle = false;
            while !idle && scratch.out.len() < OUTPUT_HIGH_WATER {
                let worked = self.poll_work(cx, &mut scratch.out)?;
                let told = self.poll_events(cx, scratch)?;
                let read = self.poll_read(cx, scratch)?;
                idle = !(worked || told || read);
            }
            if scratch.out.is_empty() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn beat(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while self.beat.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.heard) {
                return Err(Close::IDLE.into());
            }
            self.work.take_if(|work| work.is_empty());
            frame::write_ping(&mut self.unsent);
            self.beat.as_mut().reset(Instant::now() + self.heartbeat);
        }
        Ok(())
    }

    /// Writes what the last turns left, then `out`. Keeps what the peer does not take now.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Result<Poll<()>, End> {
        if !self.unsent.is_empty() {
            let mut unsent = std::mem::take(&mut self.unsent);
            let sent = self.write(cx, &unsent)?;
            if sent < unsent.len() {
                unsent.drain(..sent);
                self.unsent = unsent;
                return Ok(Poll::Pending);
            }
        }
        let sent = self.write(cx, out)?;
        let all = sent == out.len();
        self.unsent.extend_from_slice(&out[sent..]);
        out.clear();
        Ok(if all { Poll::Ready(()) } else { Poll::Pending })
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<usize, End> {
        let mut sent = 0;
        while sent < bytes.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &bytes[sent..]) {
                Poll::Ready(Ok(0) | Err(_)) => return Err(End::Gone),
                Poll::Ready(Ok(count)) => {
                    sent += count;
                    self.heard |= std::mem::take(&mut self.stuck);
                }
                Poll::Pending => {
                    self.stuck = true;
                    break;
                }
            }
        }
        if let Poll::Ready(Err(_)) = Pin::new(&mut self.stream).poll_flush(cx) {
            return Err(End::Gone);
        }
        Ok(sent)
    }

    fn poll_work(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Result<bool, End> {
        let Some(work) = &mut self.work else {
            return Ok(false);
        };
        let mut worked = false;
        while out.len() < OUTPUT_HIGH_WATER
            && let Poll::Ready(outcome) = work.poll_next(&self.session, cx)
        {
            worked = true;
            let limited = match outcome {
                Outcome::Acked(id, Ok(ack)) => {
                    frame::write_text_with(out, |out| wire::ok(out, id, &AckView::from(ack)));
                    false
                }
                Outcome::Acked(id, Err(error)) => {
                    let limited = error.kind() == ErrorKind::RateLimited;
                    frame::write_text_with(out, |out| wire::failed(out, Some(id), &error.into()));
                    limited
                }
                Outcome::Replied { reply, limited } => {
                    frame::write_text(out, &reply);
                    limited
                }
            };
            if limited && !self.refused.bears() {
                return Err(Close::FLOODING.into());
            }
        }
        Ok(worked)
    }

    fn poll_events(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, End> {
        let Scratch { events, out, .. } = scratch;
        let mut taken = std::mem::take(&mut self.backlog);
        if taken.len() == 0 {
            match self.session.poll_events(cx, events) {
                Poll::Pending => return Ok(false),
                Poll::Ready(true) => {}
                Poll::Ready(false) if self.chat.is_draining() => return Err(Close::RESTART.into()),
                Poll::Ready(false) => return Err(Close::GOING_AWAY.into()),
            }
        }
        let mut next = taken.by_ref().chain(events.drain(..));
        while out.len() < OUTPUT_HIGH_WATER
            && let Some(event) = next.next()
        {
            frame::write_text(out, event.encoded(wire::encode_event));
        }
        self.backlog = next.collect::<Vec<_>>().into_iter();
        Ok(true)
    }

    /// Takes what was kept, then reads once. Says whether a frame was taken.
    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, End> {
        let Scratch { input, out, .. } = scratch;
        let mut filled = self.kept.len();
        input[..filled].copy_from_slice(&self.kept);
        self.kept = Vec::new();

        let (mut taken, missing) = self.take_frames(&mut input[..filled], out)?;
        let mut read = taken > 0;
        if let Some(missing) = missing {
            input.copy_within(taken..filled, 0);
            filled -= taken;
            taken = 0;
            let end = input.len().min(filled + missing.max(READ_CHUNK));
            let mut buffer = ReadBuf::new(&mut input[filled..end]);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Err(End::Gone),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Err(End::Gone),
                Poll::Ready(Ok(())) => {
                    filled += buffer.filled().len();
                    (taken, _) = self.take_frames(&mut input[..filled], out)?;
                    read = true;
                }
            }
        }
        if taken < filled {
            self.kept = input[taken..filled].to_vec();
        }
        Ok(read)
    }

    /// Takes frames while there is room for their work and their replies. Returns how many bytes
    /// were taken, and how many are missing at least if it was for the lack of bytes that it ended.
    fn take_frames(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<usize>), End> {
        let mut taken = 0;
        while out.len() < OUTPUT_HIGH_WATER && self.work.as_ref().is_none_or(|work| work.has_room())
        {
            // Out of the connection while the frame borrows it.
            let mut assembly = std::mem::take(&mut self.assembly);
            let missing = match assembly.next(&mut input[taken..])? {
                Step::Missing(missing) => Some(missing),
                Step::Part(length) => {
                    taken += length;
                    self.bear()?;
                    None
                }
                Step::Message(incoming, length) => {
                    taken += length;
                    self.heard = true;
                    self.take(incoming, out)?;
                    None
                }
            };
            self.assembly = assembly;
            if missing.is_some() {
                return Ok((taken, missing));
            }
        }
        Ok((taken, None))
    }

    fn take(&mut self, incoming: Incoming<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        let text = match incoming {
            Incoming::Text(text) => text,
            Incoming::Ping(payload) => {
                self.bear()?;
                frame::write_pong(out, payload);
                return Ok(());
            }
            Incoming::Pong => return self.bear(),
            Incoming::Close => return Err(Close::NORMAL.into()),
        };
        let decoded = match std::str::from_utf8(text) {
            Ok(text) => wire::decode(text),
            Err(_) => Err(DecodeError {
                id: None,
                failure: Failure::new(Code::Malformed, "not a command: the text is not UTF-8"),
            }),
        };
        match decoded {
            Ok(request) if matches!(request.command, Command::Ping) => {
                self.bear()?;
                frame::write_text_with(out, |out| wire::ok(out, request.id, &Empty {}));
            }
            Ok(request) => self
                .work
                .get_or_insert_default()
                .start(&self.session, request),
            Err(DecodeError { id, failure }) => {
                frame::write_text_with(out, |out| wire::failed(out, id, &failure));
                if failure.code == Code::Malformed && !self.malformed.bears() {
                    return Err(Close::MALFORMED.into());
                }
                self.bear()?;
            }
        }
        Ok(())
    }

    /// Counts what costs a client nothing and the server something.
    fn bear(&mut self) -> Result<(), End> {
        if self.refused.bears() {
            Ok(())
        } else {
            Err(Close::FLOODING.into())
        }
    }
}
