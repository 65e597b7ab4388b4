//! Keeps a connection: connects, connects again, moves before a server stops, and finds out that one is
//! dead.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::timers::Due;
use super::{Driver, LineEvent};
use crate::backoff::{at_least, backoff};
use crate::connection::{ABNORMAL, Connection, Incoming, open_within};
use crate::status::{OTHER_USER, State, close, reason};
use crate::storage::Change;
use crate::wire::Command;
use crate::{Error, Result};

/// After a close that says that the server is full, or that this client sent too much, the waits begin
/// with this many times the first one.
const LATER: u32 = 10;
/// A server that drains is left after this many times less than the time it names, at most: a second
/// try must fit in.
const MOVE_WITHIN: f64 = 0.5;

#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) current: Option<Connection>,
    pub(super) connecting: Option<AbortOnDropHandle<Result<Connection>>>,
    /// Tries that failed since the last success.
    failures: u32,
    /// When the last frame came.
    heard: Option<Instant>,
    /// Since when an answer is awaited.
    asked: Option<Instant>,
    silence: Duration,
    /// Nothing is tried any more.
    refused: bool,
}

impl Line {
    pub(super) fn is_up(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// What the server takes of a frame. Without a connection nothing is sent.
    pub(super) fn max_frame_bytes(&self) -> usize {
        let current = self.current.as_ref();
        current.map_or(usize::MAX, |current| current.hello().limits.max_frame_bytes)
    }

    /// Puts a frame on the wire, if there is one.
    pub(super) fn send(&self, frame: String) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.send(frame))
    }

    pub(super) fn stop(&mut self) {
        self.current = None;
        self.connecting = None;
    }
}

impl Driver {
    pub(super) fn connect_now(&mut self) {
        self.timers.clear(|due| *due == Due::Connect);
        self.connect();
    }

    pub(super) fn connect(&mut self) {
        if self.line.connecting.is_some() || self.line.refused {
            return;
        }
        let opening = open_within(
            self.settings.address.ask(),
            self.settings.tls.clone(),
            self.settings.timing.connect,
        );
        self.line.connecting = Some(AbortOnDropHandle::new(tokio::spawn(opening)));
    }

    /// The app says that it is worth a try.
    pub(super) fn reconnect(&mut self) {
        self.line.refused = false;
        self.line.failures = 0;
        if !self.line.is_up() {
            self.connect_now();
        }
    }

    pub(super) fn line_event(&mut self, event: LineEvent) {
        match event {
            LineEvent::Opened(opened) => {
                self.line.connecting = None;
                match opened {
                    Ok(connection) => self.connected(connection),
                    Err(error) => self.not_connected(&error),
                }
            }
            LineEvent::Incoming(Incoming::Closed(code)) => self.disconnected(code),
            LineEvent::Incoming(incoming) => {
                self.line.heard = Some(Instant::now());
                self.line.asked = None;
                if let Incoming::Frame(text) = incoming {
                    self.frame(&text);
                }
            }
        }
    }

    fn connected(&mut self, connection: Connection) {
        let hello = connection.hello().clone();
        match &self.user {
            None => {
                self.keeper.keep(Change::User(hello.user.clone()));
            }
            Some(user) if *user == hello.user => {}
            Some(_) => {
                // Its outbox would be sent, and its cursors read, under another name.
                self.line.refused = true;
                self.refuse(OTHER_USER);
                return;
            }
        }
        self.user = Some(hello.user.clone());
        let now = Instant::now();
        self.line.failures = 0;
        self.line.heard = Some(now);
        self.line.asked = None;
        self.line.silence =
            Duration::from_millis(hello.heartbeat_ms).min(self.settings.timing.silence);
        // After a drain the old one is given up only now; what it has not answered is asked again.
        if self.line.current.replace(connection).is_some() {
            self.lost();
        }
        self.timers
            .clear(|due| matches!(due, Due::Connect | Due::Silence));
        self.timers.set(now + self.line.silence, Due::Silence);
        self.start_sync();
    }

    fn not_connected(&mut self, error: &Error) {
        tracing::debug!(error = %error, "no connection");
        self.connect_later(error.close_code().unwrap_or(ABNORMAL));
    }

    fn disconnected(&mut self, code: u16) {
        self.line.current = None;
        self.timers.clear(|due| *due == Due::Silence);
        self.lost();
        if self.line.connecting.is_none() {
            self.connect_later(code);
        } else {
            self.become_state(State::Offline, reason(code));
        }
    }

    fn connect_later(&mut self, code: u16) {
        if code == close::UNAUTHENTICATED {
            self.line.refused = true;
            self.refuse(reason(code).unwrap_or_default());
            return;
        }
        let timing = self.settings.timing;
        let first = match code {
            close::FULL | close::FLOODING => timing.first_wait * LATER,
            code if close::NOT_UNDERSTOOD.contains(&code) => timing.longest_wait,
            _ => timing.first_wait,
        };
        let wait = backoff(
            first,
            timing.longest_wait,
            self.line.failures,
            &mut self.random,
        );
        self.line.failures = self.line.failures.saturating_add(1);
        self.timers.clear(|due| *due == Due::Connect);
        self.timers.set(Instant::now() + wait, Due::Connect);
        if !self.line.is_up() {
            self.become_state(State::Offline, reason(code));
        }
    }

    fn refuse(&mut self, why: &'static str) {
        self.line.stop();
        self.lost();
        self.become_state(State::Refused, Some(why));
        self.refuse_asked();
    }

    /// What was on its way over a connection that is gone.
    fn lost(&mut self) {
        self.timers
            .clear(|due| matches!(due, Due::Reply(_) | Due::List));
        self.outbox.disconnected();
        self.asking_lost();
        self.stop_sync();
    }

    /// Connects to wherever the server leads, in the time that it names. It stays in use until then.
    pub(super) fn move_within(&mut self, within: Duration) {
        if self.line.connecting.is_some() {
            return;
        }
        // Never at once: a server that drains and yet takes clients would see them come and go.
        let soonest = within.mul_f64(MOVE_WITHIN / 10.0);
        let wait = soonest + within.mul_f64(MOVE_WITHIN * 0.9 * self.random.f64());
        self.timers.clear(|due| *due == Due::Connect);
        self.timers.set(Instant::now() + wait, Due::Connect);
    }

    /// Asks whether the server is still there, and gives it up if it did not answer.
    pub(super) fn listen(&mut self, now: Instant) {
        let Some(heard) = self.line.heard.filter(|_| self.line.is_up()) else {
            return;
        };
        let answer = self.settings.timing.answer;
        match self.line.asked {
            Some(asked) if now >= asked + answer => self.disconnected(ABNORMAL),
            Some(asked) => self.timers.set(asked + answer, Due::Silence),
            None if now >= heard + self.line.silence => {
                self.line.asked = Some(now);
                self.ping(&Command::Ping);
                self.timers.set(now + answer, Due::Silence);
            }
            None => self.timers.set(heard + self.line.silence, Due::Silence),
        }
    }

    /// What a server asked to wait, and some random time.
    pub(super) fn after(&mut self, asked: Duration) -> Instant {
        Instant::now() + at_least(asked, &mut self.random)
    }
}
