//! The one task behind a client: it owns all state, and everything happens in it one after another.
//!
//! `line.rs` keeps a connection, `asking.rs` matches replies with commands, `sending.rs` takes the outbox
//! to the server, `sync.rs` finds out what was missed after each connect, `catch_up.rs` fetches it, and
//! `events.rs` takes what comes by itself.

mod asking;
mod catch_up;
mod events;
mod line;
mod sending;
mod sync;
mod timers;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

pub(crate) use self::asking::Answer;
use self::asking::Asking;
use self::catch_up::{Reading, Talk};
use self::line::Line;
use self::sync::Sync;
use self::timers::{Due, Timers};
use crate::connection::Incoming;
use crate::id::{ConversationId, UserId};
use crate::log::Given;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::status::{State, Status};
use crate::storage::{Change, Item, Keeper, Kept, Storage, Stored};
use crate::updates::{Handled, Update};
use crate::wire::{Ack, Command};
use crate::{Error, Result};

/// What a handle asks for.
#[derive(Debug)]
pub(crate) enum Call {
    /// Keeps something and sends it.
    Append {
        item: Item,
        stored: oneshot::Sender<Result<()>>,
        answer: oneshot::Sender<Result<Ack>>,
    },
    /// A command that changes no log, or whose repeat is harmless.
    Ask { command: Command, answer: Answer },
    /// A direct conversation was opened.
    Peer(ConversationId, UserId),
    /// Connects now.
    Reconnect,
    /// Ends.
    Close { done: oneshot::Sender<()> },
}

/// The state of a client.
#[derive(Debug)]
pub(crate) struct Driver {
    settings: Settings,
    random: fastrand::Rng,
    timers: Timers,
    line: Line,
    asking: Asking,
    outbox: Outbox,
    sync: Sync,
    talks: HashMap<ConversationId, Talk>,
    /// Lives of conversations that were given out.
    lives: u64,
    /// Conversations that are being fetched.
    fetches: usize,
    /// Conversations that are to be attached.
    attaching: VecDeque<ConversationId>,
    /// Conversations of which something is known to be missing.
    behind: HashSet<ConversationId>,
    /// Readings that wait until the app has taken some updates.
    resting: VecDeque<Reading>,
    /// Conversations whose first waiting send may go out.
    ready: VecDeque<ConversationId>,
    /// Whom direct conversations that were opened here are with.
    peers: HashMap<ConversationId, UserId>,
    user: Option<UserId>,
    caught_up: bool,
    keeper: Keeper,
    handled: Arc<Handled>,
    saving: bool,
    out: VecDeque<Update>,
    status: watch::Sender<Status>,
}

/// Direct conversations that were opened and whose other user is remembered.
const MAX_PEERS: usize = 1_000;

impl Driver {
    pub(crate) fn new(
        settings: Settings,
        storage: Arc<dyn Storage>,
        stored: Stored,
        handled: Arc<Handled>,
        status: watch::Sender<Status>,
    ) -> Self {
        let keeper = Keeper::start(storage, settings.max_outbox);
        let mut driver = Self {
            settings,
            random: fastrand::Rng::new(),
            timers: Timers::default(),
            line: Line::default(),
            asking: Asking::default(),
            outbox: Outbox::default(),
            sync: Sync::default(),
            talks: HashMap::new(),
            lives: 0,
            fetches: 0,
            attaching: VecDeque::new(),
            behind: HashSet::new(),
            resting: VecDeque::new(),
            ready: VecDeque::new(),
            peers: HashMap::new(),
            user: stored.user,
            caught_up: stored.caught_up,
            keeper,
            handled,
            saving: false,
            out: VecDeque::new(),
            status,
        };
        for item in stored.items {
            driver.outbox.restore(item);
        }
        for (conversation, cursor) in stored.cursors {
            driver.talks.insert(conversation, Talk::from_cursor(cursor));
        }
        driver
    }

    /// Lives until it is closed, or nobody is there any more.
    pub(crate) async fn run(
        mut self,
        mut calls: mpsc::Receiver<Call>,
        updates: mpsc::Sender<Update>,
    ) {
        self.tell_status();
        self.connect_now();
        let done = loop {
            let wake = self.timers.next();
            let sleep = sleep_until(wake.unwrap_or_else(Instant::now));
            let handled = self.handled.clone();
            tokio::select! {
                // What came first of all: a connection that ends must be seen before more is sent.
                biased;
                incoming = self.line.next() => self.line_event(incoming),
                Some(kept) = self.keeper.kept() => self.kept(kept),
                permit = updates.reserve(), if !self.out.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(update) = self.out.pop_front() {
                            permit.send(update);
                        }
                    }
                    // Nobody listens: what is for the app goes nowhere.
                    Err(_) => self.out.clear(),
                },
                call = calls.recv() => match call {
                    Some(Call::Close { done }) => break Some(done),
                    Some(call) => self.call(call),
                    None => break None,
                },
                () = handled.changed(), if !self.saving => {
                    self.saving = true;
                    let at = Instant::now() + self.settings.timing.keep_cursors;
                    self.timers.set(at, Due::KeepCursors);
                }
                () = sleep, if wake.is_some() => {}
            }
            let now = Instant::now();
            while let Some(due) = self.timers.pop(now) {
                self.due(due, now);
            }
            while let Some(update) = self.out.pop_front() {
                if let Err(error) = updates.try_send(update) {
                    self.out.push_front(error.into_inner());
                    break;
                }
            }
            self.work();
            self.tell_status();
        };
        self.close().await;
        if let Some(done) = done {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    async fn close(mut self) {
        self.line.stop();
        self.become_state(State::Stopped, None);
        self.keep_handled();
        self.keeper.finish().await;
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Append {
                item,
                stored,
                answer,
            } => self.append(item, stored, answer),
            Call::Ask { command, answer } => self.ask_for(command, answer),
            Call::Peer(conversation, user) => {
                if self.peers.len() < MAX_PEERS {
                    self.peers.insert(conversation, user);
                }
            }
            Call::Reconnect => self.reconnect(),
            // Seen before.
            Call::Close { .. } => {}
        }
    }

    fn due(&mut self, due: Due, now: Instant) {
        match due {
            Due::Connect => self.connect(),
            Due::Silence => self.listen(now),
            Due::Reply(command) => self.no_reply(command),
            Due::Send(conversation, client_id) => self.send_again(&conversation, &client_id),
            Due::Ask => {}
            Due::Attach(conversation) => self.attach_due(&conversation),
            Due::Place(conversation, position) => self.fetch_place(&conversation, position),
            Due::List => self.list(),
            Due::KeepCursors => {
                self.saving = false;
                if self.keeper.is_busy() {
                    self.saving = true;
                    self.timers
                        .set(now + self.settings.timing.keep_cursors, due);
                } else {
                    self.keep_handled();
                }
            }
        }
    }

    /// Whatever can go out now.
    fn work(&mut self) {
        if !self.line.is_up() {
            return;
        }
        self.send_all();
        while self.has_room()
            && let Some(reading) = self.resting.pop_front()
        {
            self.page(reading);
        }
        if self.has_room() {
            self.attach_waiting();
        }
        self.ask_waiting();
    }

    /// Whether the app keeps up.
    fn has_room(&self) -> bool {
        self.out.len() < self.settings.max_updates
    }

    fn tell(&mut self, update: Update) {
        self.out.push_back(update);
    }

    /// Tells what can be left out.
    fn tell_if_room(&mut self, update: Update) {
        if self.has_room() {
            self.tell(update);
        }
    }

    /// Gives to the app what a log has for it.
    fn give(&mut self, conversation: &ConversationId) {
        let Some(talk) = self.talks.get_mut(conversation) else {
            return;
        };
        for given in talk.log.take() {
            self.out.push_back(match given {
                Given::Entry { entry, late } => Update::Entry { entry, late },
                Given::Withdrawn {
                    entry,
                    position,
                    stands,
                } => Update::Withdrawn {
                    conversation: conversation.clone(),
                    entry,
                    position,
                    stands,
                },
            });
        }
    }

    fn kept(&mut self, kept: Kept) {
        match kept {
            Kept::Item(conversation, client_id, result) => {
                self.item_kept(&conversation, &client_id, result);
            }
            Kept::Written(_, Ok(())) => {}
            Kept::Written(_, Err(error)) => self.tell(Update::StorageFailed(error)),
        }
    }

    fn keep_handled(&mut self) {
        let news = self.handled.take();
        for (conversation, client_id) in news.refused {
            // It may wait again, under the same id.
            if self.outbox.find(&conversation, &client_id).is_none() {
                self.keeper.keep(Change::Remove(conversation, client_id));
            }
        }
        for (conversation, position) in news.cursors {
            // It may have been forgotten while the last of it waited for the app.
            if self.talks.contains_key(&conversation) {
                self.keeper.keep(Change::Cursor(conversation, position));
            }
        }
    }

    fn tell_status(&mut self) {
        if !self.line.is_up() {
            return;
        }
        let behind = !self.sync.is_done() || self.is_catching_up();
        let state = if behind { State::Behind } else { State::Online };
        if !behind {
            self.note_caught_up();
        }
        self.become_state(state, None);
    }

    fn become_state(&mut self, state: State, reason: Option<&'static str>) {
        let status = Status::new(state, reason);
        let changed = self.status.send_if_modified(|held| {
            let changed = *held != status;
            held.clone_from(&status);
            changed
        });
        if !changed {
            return;
        }
        // Only the newest of those that wait side by side counts.
        if !self.has_room()
            && let Some(Update::Status(waiting)) = self.out.back_mut()
        {
            *waiting = status;
        } else {
            self.tell(Update::Status(status));
        }
    }

    fn fail(&mut self, error: &Error) {
        tracing::debug!(error = %error, "a frame of the server was not understood");
    }
}

impl Line {
    /// What comes over the line; pending while there is none. Cancel-safe.
    async fn next(&mut self) -> LineEvent {
        let connecting = async {
            match self.connecting.as_mut() {
                Some(connecting) => connecting.await,
                None => std::future::pending().await,
            }
        };
        let incoming = async {
            match self.current.as_mut() {
                Some(connection) => connection.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            opened = connecting => LineEvent::Opened(opened.unwrap_or_else(|_| Err(Error::stopped()))),
            incoming = incoming => LineEvent::Incoming(incoming),
        }
    }
}

/// What comes over the line.
#[derive(Debug)]
enum LineEvent {
    Opened(Result<crate::connection::Connection>),
    Incoming(Incoming),
}

#[cfg(test)]
mod tests;
