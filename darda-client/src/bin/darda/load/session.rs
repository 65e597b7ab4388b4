//! One connection of the load: says what it is told to say, and notes what comes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::attention::{Attention, Joined, Mark};
use super::ledger::{Fate, Ledger};
use super::line::{Incoming, Line};
use super::protocol::{Ask, Dialect, Founding, Said};
use super::tally::{Board, Tally};
use crate::Result;

/// One measurement: what is due, and where it is noted.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ledger: Ledger,
    pub(super) board: Board,
}

/// What a session is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Make a conversation.
    Found(Founding, oneshot::Sender<Result<Arc<str>>>),
    /// Hear of these conversations, and care about them if that is part of the load.
    Join {
        conversations: Vec<Joined>,
        attentive: bool,
        done: oneshot::Sender<Result<()>>,
    },
    /// What comes from now on belongs to this run.
    Begin(Arc<Run>),
    Send {
        message: usize,
        conversation: Arc<str>,
    },
    /// Begin to type where one is, go on, or end it.
    Type(bool),
    /// Open the next conversation.
    Look,
}

/// One of the load's connections.
#[derive(Debug)]
pub(super) struct Session {
    number: usize,
    dialect: &'static dyn Dialect,
    line: Line,
    orders: mpsc::Receiver<Order>,
    /// Begins each text, so that what an earlier load sent is told apart.
    name: Arc<str>,
    bytes: usize,
    run: Option<Arc<Run>>,
    attention: Option<Attention>,
    /// Where the user types, between the beginning and the end of it.
    typing: Option<Arc<str>>,
    commands: u64,
    under_way: HashMap<u64, Command>,
    own: HashSet<usize>,
    seen: HashSet<usize>,
    closed: Option<u16>,
}

/// What was asked of the server.
#[derive(Debug, Clone, Copy)]
enum Command {
    Message(usize),
    /// In which of the user's conversations.
    Mark(usize),
    Typing,
}

impl Session {
    /// Greets on a new connection. `name` is the load's, and begins each text.
    pub(super) async fn open(
        number: usize,
        dialect: &'static dyn Dialect,
        mut line: Line,
        orders: mpsc::Receiver<Order>,
        name: Arc<str>,
        bytes: usize,
    ) -> Result<Self> {
        dialect.greet(&mut line).await?;
        Ok(Self {
            number,
            dialect,
            line,
            orders,
            name,
            bytes,
            run: None,
            attention: None,
            typing: None,
            commands: 0,
            under_way: HashMap::new(),
            own: HashSet::new(),
            seen: HashSet::new(),
            closed: None,
        })
    }

    /// Until no more orders come.
    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await?,
                    None => break,
                },
                incoming = self.line.next(), if self.closed.is_none() => match incoming {
                    Incoming::Frame(frame) => {
                        for line in frame.lines() {
                            self.hear(line)?;
                        }
                    }
                    Incoming::Closed(code) => {
                        self.closed = Some(code);
                        self.note_closed();
                    }
                },
            }
        }
        self.line.close().await;
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Found(founding, made) => {
                let conversation = self.dialect.found(&mut self.line, &founding).await;
                // Whoever asked has given up if it is not taken.
                drop(made.send(conversation));
            }
            Order::Join {
                conversations,
                attentive,
                done,
            } => {
                let names = conversations.iter().map(|it| it.conversation.clone());
                let names: Vec<_> = names.collect();
                self.attention = attentive.then(|| Attention::new(conversations));
                drop(done.send(self.dialect.join(&mut self.line, &names).await));
            }
            Order::Begin(run) => {
                self.run = Some(run);
                self.under_way
                    .retain(|_, it| !matches!(it, Command::Message(_)));
                self.own.clear();
                self.seen.clear();
                self.note_closed();
            }
            Order::Send {
                message,
                conversation,
            } => self.send(message, &conversation)?,
            Order::Type(active) => self.type_(active)?,
            Order::Look => {
                let mark = self.attention.as_mut().and_then(Attention::look);
                self.mark(mark)?;
            }
        }
        Ok(())
    }

    /// Counts what is no message, once the warm-up is over.
    fn count(&self, count: impl FnOnce(&mut Tally)) {
        if let Some(run) = &self.run
            && run.ledger.is_measuring()
        {
            count(&mut run.board.of(self.number));
        }
    }

    fn note_closed(&self) {
        if let (Some(run), Some(code)) = (&self.run, self.closed) {
            *run.board.of(self.number).closed.entry(code).or_default() += 1;
        }
    }

    /// Puts a command on the wire, if there is room.
    fn ask(&mut self, ask: &Ask<'_>, command: Command) -> Result<bool> {
        self.commands += 1;
        let frame = self.dialect.write(self.commands, ask)?;
        let put = self.line.put(frame);
        if put {
            self.under_way.insert(self.commands, command);
        }
        Ok(put)
    }

    fn send(&mut self, message: usize, conversation: &Arc<str>) -> Result<()> {
        let Some(run) = self.run.clone() else {
            return Ok(());
        };
        let name = format!("{}{message}", self.name);
        let width = self.bytes;
        // What follows the number ends with a space.
        let text = format!("{:.<width$}", format!("{name} "));
        let send = Ask::Send {
            conversation,
            name: &name,
            text: &text,
        };
        if self.ask(&send, Command::Message(message))? {
            self.own.insert(message);
            if run.ledger.is_measured(message) {
                let late = run.ledger.late_by(message);
                run.board.of(self.number).sent.saturating_record(late);
            }
        } else {
            run.ledger.set(message, Fate::NotSent);
        }
        Ok(())
    }

    fn type_(&mut self, active: bool) -> Result<()> {
        if active && self.typing.is_none() {
            let open = self.attention.as_ref().and_then(Attention::typing);
            self.typing = open.cloned();
        }
        let Some(conversation) = self.typing.clone() else {
            return Ok(());
        };
        if !active {
            self.typing = None;
        }
        let typing = Ask::Typing {
            conversation: &conversation,
            active,
        };
        if self.ask(&typing, Command::Typing)? {
            self.count(|tally| tally.typed += 1);
        }
        Ok(())
    }

    fn mark(&mut self, mark: Option<Mark>) -> Result<()> {
        let Some(mark) = mark else { return Ok(()) };
        let attention = self.attention.as_mut();
        let Some(conversation) = attention.and_then(|it| it.conversation(mark.place).cloned())
        else {
            return Ok(());
        };
        let ask = Ask::Mark {
            conversation: &conversation,
            position: mark.position,
            seen: mark.seen,
        };
        if self.ask(&ask, Command::Mark(mark.place))? {
            self.count(|tally| tally.marked += 1);
        } else if let Some(attention) = &mut self.attention {
            attention.answered(mark.place, false);
        }
        Ok(())
    }

    fn hear(&mut self, line: &str) -> Result<()> {
        match self.dialect.read(line)? {
            Said::Done(id) => self.answered(id, None),
            Said::Refused(id, why) => self.answered(id, Some(&why)),
            Said::Message {
                conversation,
                position,
                text,
            } => self.message(&conversation, position, &text),
            Said::Attention => {
                self.count(|tally| tally.told += 1);
                Ok(())
            }
            Said::Gap => {
                if let Some(run) = &self.run {
                    run.board.of(self.number).gaps += 1;
                }
                Ok(())
            }
            Said::Ping => {
                // Without room the server finds this session dead, which it is.
                self.line.put(self.dialect.pong());
                Ok(())
            }
            Said::Other => Ok(()),
        }
    }

    fn answered(&mut self, id: u64, refused: Option<&str>) -> Result<()> {
        let Some(run) = self.run.clone() else {
            return Ok(());
        };
        match self.under_way.remove(&id) {
            Some(Command::Message(message)) => {
                if !run.ledger.holds(message) {
                    return Ok(());
                }
                let late = run.ledger.late_by(message);
                let fate = refused.map_or(Fate::Acked, |_| Fate::Refused);
                run.ledger.set(message, fate);
                if run.ledger.is_measured(message) {
                    let mut tally = run.board.of(self.number);
                    match refused {
                        None => tally.acked.saturating_record(late),
                        Some(why) => tally.refuse(why),
                    }
                }
            }
            Some(Command::Mark(place)) => {
                if let Some(why) = refused {
                    run.board.of(self.number).refuse(format!("receipt, {why}"));
                }
                let attention = self.attention.as_mut();
                let next = attention.and_then(|it| it.answered(place, refused.is_none()));
                self.mark(next)?;
            }
            Some(Command::Typing) => {
                if let Some(why) = refused {
                    run.board.of(self.number).refuse(format!("typing, {why}"));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn message(&mut self, conversation: &str, position: Option<u64>, text: &str) -> Result<()> {
        let (Some(run), Some(message)) = (self.run.clone(), self.number_of(text)) else {
            return Ok(());
        };
        if !run.ledger.holds(message) || self.dialect.echoes() && self.own.contains(&message) {
            return Ok(());
        }
        if self.seen.insert(message) {
            let late = run.ledger.late_by(message);
            let is_last = run.ledger.see(message);
            if run.ledger.is_measured(message) {
                let mut tally = run.board.of(self.number);
                tally.delivered.saturating_record(late);
                if is_last {
                    tally.last.saturating_record(late);
                }
            }
        } else {
            run.board.of(self.number).doubled += 1;
        }
        // Where the server has no positions, the load's numbers do; a first one that is 0 would be no mark.
        let position = position
            .or_else(|| u64::try_from(message + 1).ok())
            .unwrap_or_default();
        let attention = self.attention.as_mut();
        let mark = attention.and_then(|it| it.arrived(conversation, position));
        self.mark(mark)
    }

    /// The number of a message of this load.
    fn number_of(&self, text: &str) -> Option<usize> {
        let rest = text.strip_prefix(&*self.name)?;
        rest.split(' ').next()?.parse().ok()
    }
}
