//! Commands and their replies.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use super::catch_up::Reading;
use super::timers::Due;
use crate::connection::parse;
use crate::id::{ClientId, ConversationId, Position};
use crate::wire::{Command, Frame, Refusal, Summary};
use crate::{Error, ErrorKind, Result};

/// Commands besides sends that are under way at a time. The server takes 16, and reads nothing more until
/// one is done: not even a ping.
const MAX_UNDER_WAY: usize = 12;
/// Calls of the app that may wait for their turn or for a connection.
const MAX_WAITING: usize = 256;
/// How often a command is tried that is answered with `retry_after_ms`, or not at all.
const ATTEMPTS: u32 = 8;

/// Takes the JSON of an answer.
pub(crate) type Answer = oneshot::Sender<Result<Box<RawValue>>>;

/// Commands and who waits for their replies.
#[derive(Debug, Default)]
pub(super) struct Asking {
    number: u64,
    under_way: HashMap<u64, Purpose>,
    /// Those of them that are no sends.
    reads: usize,
    /// The client's own, before those of the app: first of all nothing must be missing.
    own: VecDeque<(Command, Purpose)>,
    waiting: VecDeque<Asked>,
}

/// A call of the app.
#[derive(Debug)]
pub(super) struct Asked {
    command: Command,
    answer: Answer,
    attempts: u32,
    not_before: Option<Instant>,
}

/// What a reply is for.
#[derive(Debug)]
pub(super) enum Purpose {
    Send(ConversationId, ClientId),
    Asked(Asked),
    /// With the number of the sync that asks.
    List(u64, Vec<Summary>),
    Resume(u64, Vec<(ConversationId, Position)>),
    Attach(Reading),
    Page(Reading),
    /// One entry, at or below the cursor.
    Place(ConversationId, Position),
    Reopen(ConversationId),
    Nothing,
}

impl Driver {
    /// Sends a command now. Gives back what it is for if the connection takes no more: it has ended, which
    /// is about to be told, or an answer will make room.
    #[expect(
        clippy::result_large_err,
        reason = "it is kept, not an error to pass on"
    )]
    pub(super) fn command(&mut self, command: &Command, purpose: Purpose) -> Result<u64, Purpose> {
        self.asking.number += 1;
        let id = self.asking.number;
        let limit = self.line.max_frame_bytes();
        let frame = match command.frame(id) {
            Ok(frame) if frame.len() <= limit => Ok(frame),
            // The server would close the connection, and the next one for the same command.
            Ok(_) => Err(("too_large", format!("a command is over {limit} bytes"))),
            Err(error) => Err(("invalid", error.to_string())),
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err((code, message)) => {
                let refusal = Refusal {
                    code: code.to_owned(),
                    message,
                    retry_after_ms: None,
                };
                self.refused(purpose, refusal);
                return Ok(id);
            }
        };
        if !self.line.send(frame) {
            return Err(purpose);
        }
        if !matches!(purpose, Purpose::Send(..)) {
            self.asking.reads += 1;
        }
        self.asking.under_way.insert(id, purpose);
        let at = Instant::now() + self.settings.timing.reply;
        self.timers.set(at, Due::Reply(id));
        Ok(id)
    }

    pub(super) fn ping(&mut self, ping: &Command) {
        // A connection that takes none does not answer either, and is given up as one that does not.
        let _ = self.command(ping, Purpose::Nothing);
    }

    /// Commands under way that are sends.
    pub(super) fn sends_under_way(&self) -> usize {
        self.asking.under_way.len() - self.asking.reads
    }

    /// Asks for something of the client's own, as soon as its turn comes.
    pub(super) fn ask(&mut self, command: Command, purpose: Purpose) {
        self.asking.own.push_back((command, purpose));
    }

    /// A call of the app.
    pub(super) fn ask_for(&mut self, command: Command, answer: Answer) {
        let refused = if self.line.is_refused() {
            Some(Error::stopped())
        } else if self.asking.waiting.len() >= MAX_WAITING {
            let message = "too many calls wait already";
            Some(Error::new(ErrorKind::Full, message))
        } else if matches!(command, Command::Typing { .. }) && !self.line.is_up() {
            let message = "there is no connection, and typing is of no use later";
            Some(Error::new(ErrorKind::Offline, message))
        } else {
            None
        };
        if let Some(error) = refused {
            // Whoever asked may have gone.
            let _ = answer.send(Err(error));
            return;
        }
        self.asking.waiting.push_back(Asked {
            command,
            answer,
            attempts: 0,
            not_before: None,
        });
    }

    /// Asks what waits, as far as the server takes it.
    pub(super) fn ask_waiting(&mut self) {
        while self.asking.reads < MAX_UNDER_WAY
            && let Some((command, purpose)) = self.asking.own.pop_front()
        {
            if let Err(purpose) = self.command(&command, purpose) {
                self.asking.own.push_front((command, purpose));
                return;
            }
        }
        let now = Instant::now();
        let mut later = VecDeque::new();
        while self.asking.reads < MAX_UNDER_WAY
            && let Some(asked) = self.asking.waiting.pop_front()
        {
            if asked.answer.is_closed() {
                // Whoever asked has gone.
            } else if asked.not_before.is_some_and(|at| at > now) {
                later.push_back(asked);
            } else {
                let command = asked.command.clone();
                if let Err(Purpose::Asked(asked)) = self.command(&command, Purpose::Asked(asked)) {
                    self.asking.waiting.push_front(asked);
                    break;
                }
            }
        }
        later.append(&mut self.asking.waiting);
        self.asking.waiting = later;
    }

    /// A frame of the server: a reply, or an event.
    pub(super) fn frame(&mut self, text: &str) {
        let frame: Frame<'_> = match parse(text) {
            Ok(frame) => frame,
            Err(error) => return self.fail(&error),
        };
        if frame.event.is_some() {
            match parse(text) {
                Ok(event) => self.event(event),
                Err(error) => self.fail(&error),
            }
            return;
        }
        // A reply that nobody waits for any more, or to a frame that the server could not read.
        let Some(purpose) = frame.id.and_then(|id| self.answered(id)) else {
            return;
        };
        match (frame.ok, frame.error) {
            (Some(ok), _) => self.done(purpose, ok),
            (None, Some(refusal)) => self.refused(purpose, refusal),
            (None, None) => self.useless(purpose, "the server's reply says nothing"),
        }
    }

    fn answered(&mut self, id: u64) -> Option<Purpose> {
        let purpose = self.asking.under_way.remove(&id)?;
        if !matches!(purpose, Purpose::Send(..)) {
            self.asking.reads -= 1;
        }
        // Its timer finds nothing.
        Some(purpose)
    }

    /// Their replies are not waited for any more.
    pub(super) fn no_longer_under_way(&mut self, commands: &[u64]) {
        for id in commands {
            self.asking.under_way.remove(id);
        }
    }

    fn done(&mut self, purpose: Purpose, ok: &RawValue) {
        let text = ok.get();
        let (purpose, error) = match purpose {
            Purpose::Send(conversation, client_id) => match parse(text) {
                Ok(ack) => return self.acked(&conversation, &client_id, ack),
                Err(error) => (Purpose::Send(conversation, client_id), error),
            },
            Purpose::List(sync, found) => match parse(text) {
                Ok(listed) => return self.listed(sync, found, listed),
                Err(error) => (Purpose::List(sync, found), error),
            },
            Purpose::Resume(sync, asked) => match parse(text) {
                Ok(resumed) => return self.resumed(sync, &asked, resumed),
                Err(error) => (Purpose::Resume(sync, asked), error),
            },
            Purpose::Attach(reading) => match parse(text) {
                Ok(attached) => return self.attached(reading, attached),
                Err(error) => (Purpose::Attach(reading), error),
            },
            Purpose::Page(reading) => match parse(text) {
                Ok(page) => return self.paged(reading, page),
                Err(error) => (Purpose::Page(reading), error),
            },
            Purpose::Place(conversation, position) => match parse(text) {
                Ok(page) => return self.placed(&conversation, position, page),
                Err(error) => (Purpose::Place(conversation, position), error),
            },
            Purpose::Asked(asked) => {
                // Whoever asked may have gone.
                let _ = asked.answer.send(Ok(ok.to_owned()));
                return;
            }
            Purpose::Reopen(conversation) => return self.reopened(&conversation),
            Purpose::Nothing => return,
        };
        self.fail(&error);
        self.useless(purpose, "the server's reply cannot be read");
    }

    /// A reply came that is as good as none.
    fn useless(&mut self, purpose: Purpose, message: &str) {
        let wait = self.settings.timing.stale;
        self.refused(purpose, unanswered(message, wait));
    }

    fn refused(&mut self, purpose: Purpose, refusal: Refusal) {
        let wait = refusal.retry_after_ms.map(Duration::from_millis);
        match purpose {
            Purpose::Send(conversation, client_id) => {
                self.send_refused(&conversation, &client_id, refusal);
            }
            Purpose::Asked(asked) => match wait {
                Some(wait) if asked.attempts + 1 < ATTEMPTS => {
                    let at = self.after(wait);
                    self.ask_again(asked, Some(at));
                }
                _ => {
                    let _ = asked.answer.send(Err(Error::refused(refusal)));
                }
            },
            Purpose::List(sync, _) | Purpose::Resume(sync, _) => self.list_later(sync, wait),
            Purpose::Attach(reading) | Purpose::Page(reading) => {
                self.reading_failed(&reading, wait);
            }
            Purpose::Place(conversation, position) => {
                self.place_refused(conversation, position, wait);
            }
            Purpose::Nothing => {}
            // The send is tried again, and then refused for good.
            Purpose::Reopen(conversation) => self.reopened(&conversation),
        }
    }

    /// The reply to a command did not come.
    pub(super) fn no_reply(&mut self, id: u64) {
        match self.asking.under_way.get(&id) {
            // A late reply counts, so it stays.
            Some(Purpose::Send(conversation, client_id)) => {
                let (conversation, client_id) = (conversation.clone(), client_id.clone());
                self.send_again(&conversation, &client_id);
            }
            Some(_) => {
                let message = "the server did not answer in time";
                if let Some(purpose) = self.answered(id) {
                    self.refused(purpose, unanswered(message, Duration::ZERO));
                }
            }
            None => {}
        }
    }

    fn ask_again(&mut self, mut asked: Asked, at: Option<Instant>) {
        asked.attempts += 1;
        asked.not_before = at;
        if let Command::CreateGroup { resend, .. } = &mut asked.command {
            *resend = true;
        }
        if let Some(at) = at {
            self.timers.set(at, Due::Ask);
        }
        self.asking.waiting.push_front(asked);
    }

    /// The connection is gone: calls of the app are asked again, the client's own begin anew.
    pub(super) fn asking_lost(&mut self) {
        self.asking.reads = 0;
        self.asking.own.clear();
        let mut lost: Vec<_> = self.asking.under_way.drain().collect();
        lost.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        for (_, purpose) in lost {
            match purpose {
                Purpose::Asked(asked) if matches!(asked.command, Command::Typing { .. }) => {
                    let message = "the connection was lost";
                    let _ = asked
                        .answer
                        .send(Err(Error::new(ErrorKind::Offline, message)));
                }
                Purpose::Asked(asked) => self.ask_again(asked, None),
                _ => {}
            }
        }
    }

    /// Nothing will be asked any more.
    pub(super) fn refuse_asked(&mut self) {
        for asked in self.asking.waiting.drain(..) {
            let _ = asked.answer.send(Err(Error::stopped()));
        }
    }
}

/// What a command has come to whose reply is of no use.
fn unanswered(message: &str, wait: Duration) -> Refusal {
    Refusal {
        code: "unavailable".to_owned(),
        message: message.to_owned(),
        retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    }
}
