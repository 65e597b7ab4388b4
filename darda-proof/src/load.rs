//! What the users do while parts are killed: mostly they write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use darda_core::model::{MemberChange, Role};
use fastrand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cast::{Cast, Talk};
use crate::client::{Act, Client};

/// How often the load is topped up.
const TICK: Duration = Duration::from_millis(10);

/// The users' doings, as long as it lives.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    cast: Arc<Cast>,
    clients: Vec<Arc<Client>>,
    /// Sends a second.
    rate: u64,
    /// Whether members change.
    changes: AtomicBool,
    /// Messages that were asked for, and those that nobody could take.
    wanted: AtomicU64,
    skipped: AtomicU64,
}

impl Load {
    /// Begins.
    pub(crate) fn start(cast: Arc<Cast>, clients: Vec<Arc<Client>>, rate: u64, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            cast,
            clients,
            rate,
            changes: AtomicBool::new(true),
            wanted: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        });
        let task = tokio::spawn(run(shared.clone(), Rng::with_seed(seed)));
        Self { shared, task }
    }

    /// Whether members change from now on.
    pub(crate) fn change_members(&self, yes: bool) {
        self.shared.changes.store(yes, Ordering::Relaxed);
    }

    /// Messages that users wanted to write until now.
    pub(crate) fn wanted(&self) -> u64 {
        self.shared.wanted.load(Ordering::Relaxed)
    }

    /// Of these, those that were not even written: the client had too many waiting.
    pub(crate) fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(shared: Arc<Shared>, mut rng: Rng) {
    let began = Instant::now();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut done, mut last) = (0, began);
    loop {
        tick.tick().await;
        let now = Instant::now();
        let owed =
            u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) * shared.rate / 1000;
        for _ in done..owed {
            shared.write(&mut rng);
        }
        done = owed;
        let passed = (now - last).as_secs_f64();
        last = now;
        shared.do_else(passed, &mut rng);
    }
}

impl Shared {
    fn talk(&self, rng: &mut Rng) -> &Talk {
        &self.cast.talks[rng.usize(..self.cast.talks.len())]
    }

    fn somebody(&self, talk: &Talk, rng: &mut Rng) -> &Arc<Client> {
        let all: Vec<_> = talk.everybody().collect();
        &self.clients[all[rng.usize(..all.len())]]
    }

    fn write(&self, rng: &mut Rng) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let talk = self.talk(rng);
        let conversation = talk.conversation;
        let act = match rng.u32(..1000) {
            0..30 => Act::Touch { conversation },
            30..35 => Act::Repeat,
            _ => Act::Say { conversation },
        };
        // A guest may be no member now, and nobody has messages to edit at first.
        let done = self.somebody(talk, rng).act(&act)
            || self.clients[talk.core[rng.usize(..talk.core.len())]]
                .act(&Act::Say { conversation });
        if !done {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What happens so many times a second.
    fn do_else(&self, seconds: f64, rng: &mut Rng) {
        let mut times = |per_second: f64| {
            let expected = per_second * seconds;
            let whole = expected.floor();
            whole as u32 + u32::from(rng.f64() < expected - whole)
        };
        let (marks, types, looks) = (times(60.0), times(5.0), times(10.0));
        let (changes, leaves) = (times(3.0), times(0.2));
        for _ in 0..marks {
            let talk = self.talk(rng);
            let seen = rng.bool();
            let conversation = talk.conversation;
            self.somebody(talk, rng)
                .act(&Act::Mark { conversation, seen });
        }
        for _ in 0..types {
            let talk = self.talk(rng);
            let conversation = talk.conversation;
            self.somebody(talk, rng).act(&Act::Type { conversation });
        }
        for _ in 0..looks {
            let talk = self.talk(rng);
            let what = ["members", "receipts", "receipts", "presence", "history"][rng.usize(..5)];
            let conversation = talk.conversation;
            self.somebody(talk, rng)
                .act(&Act::Look { conversation, what });
        }
        if self.changes.load(Ordering::Relaxed) {
            for _ in 0..changes {
                self.change(rng);
            }
        }
        // Now and then a network changes: a client moves without a word of the server.
        for _ in 0..leaves {
            self.clients[rng.usize(..self.clients.len())].leave();
        }
    }

    fn change(&self, rng: &mut Rng) {
        let talk = self.talk(rng);
        if talk.group.is_none() {
            return;
        }
        let conversation = talk.conversation;
        let number = talk.guests[rng.usize(..talk.guests.len())];
        let (owner, guest) = (&self.clients[talk.core[0]], &self.clients[number]);
        let user = self.cast.users[number].clone();
        let (who, change) = match rng.u32(..100) {
            0..45 => (owner, MemberChange::Add { users: vec![user] }),
            45..75 => (owner, MemberChange::Remove { user }),
            75..85 => (guest, MemberChange::Leave),
            85..95 => {
                let role = if rng.bool() {
                    Role::Admin
                } else {
                    Role::Member
                };
                let user = self.cast.users[talk.core[1]].clone();
                (owner, MemberChange::Role { user, role })
            }
            _ => {
                let title = format!("title {}", rng.u32(..1000));
                (owner, MemberChange::Rename { title })
            }
        };
        // One at a time of each client, so that a removal does not overtake its addition.
        if !who.is_changing() {
            who.act(&Act::Change {
                conversation,
                change,
            });
        }
    }
}
