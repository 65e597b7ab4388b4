//! Users with conversations, and clients who connect, catch up, and come back when they are cut off or
//! asked to move: by the numbers of `darda-client`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use darda_core::SendRequest;
use darda_core::Session;
use darda_core::model::{ClientId, ConversationId, Position, UserId};
use darda_core::ports::{Event, EventBody};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fleet::Fleet;
use super::{Failed, user};

/// At most before the first try to connect again; doubled for each one that fails.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// Failures after which the wait is not doubled any longer.
const MOST_DOUBLINGS: u32 = 6;
/// The share of the time that a draining gateway gives in which a client moves.
const MOVE_WITHIN: f64 = 0.5;

/// All users and their clients.
#[derive(Debug)]
pub(super) struct Town {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    fleet: Arc<Fleet>,
    random: Mutex<fastrand::Rng>,
    connected: AtomicUsize,
    /// When the last client came back, and how many times one did.
    back: Mutex<(Option<Instant>, u64)>,
}

/// A user, and how far the client has come in each conversation.
#[derive(Debug, Clone)]
struct Inhabitant {
    user: UserId,
    cursors: Vec<(ConversationId, Position)>,
}

impl Town {
    /// So many users, each in direct conversations with so many others on average, connect, each to a
    /// gateway of its own draw.
    pub(super) async fn settle(
        fleet: Arc<Fleet>,
        users: usize,
        conversations: usize,
        seed: u64,
    ) -> Result<Self, Failed> {
        let mut random = fastrand::Rng::with_seed(seed);
        let inhabitants = acquaint(&fleet, users, conversations, &mut random).await?;
        let mut town = Self {
            shared: Arc::new(Shared {
                fleet,
                random: Mutex::new(random),
                connected: AtomicUsize::new(0),
                back: Mutex::default(),
            }),
            clients: JoinSet::new(),
        };
        for inhabitant in inhabitants {
            let shared = town.shared.clone();
            town.clients
                .spawn(async move { shared.live(inhabitant).await });
        }
        Ok(town)
    }

    /// Clients that have a session.
    pub(super) fn connected(&self) -> usize {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// How often a client came back since the last time, and when the last one did.
    pub(super) fn take_back(&self) -> (Option<Instant>, u64) {
        std::mem::take(&mut *self.shared.back.lock())
    }
}

/// Makes users and conversations, each with one message, on a gateway of their own.
async fn acquaint(
    fleet: &Fleet,
    users: usize,
    conversations: usize,
    random: &mut fastrand::Rng,
) -> Result<Vec<Inhabitant>, Failed> {
    let mut inhabitants = Vec::with_capacity(users);
    for number in 0..users {
        inhabitants.push(Inhabitant {
            user: user("u", number)?,
            cursors: Vec::new(),
        });
    }
    let maker = fleet.gateway("maker");
    for number in 0..users {
        let session = maker.connect(inhabitants[number].user.clone()).await?;
        // Each conversation has two ends.
        for _ in 0..conversations / 2 {
            let other = random.usize(..users);
            let known = inhabitants[other].user.clone();
            if other == number {
                continue;
            }
            let conversation = session.open_direct(known).await?;
            let id = ClientId::new("hello")?;
            let ack = session
                .send(SendRequest::new(conversation, id, "hello"))
                .await?;
            let cursor = (conversation, ack.position);
            for one in [number, other] {
                let cursors = &mut inhabitants[one].cursors;
                cursors.retain(|(known, _)| *known != conversation);
                cursors.push(cursor);
            }
        }
    }
    maker.shutdown().await;
    Ok(inhabitants)
}

/// What ends a session.
enum End {
    /// The gateway closed it.
    Closed,
    /// The gateway asked to move.
    Move(Duration),
}

impl Shared {
    async fn live(&self, inhabitant: Inhabitant) {
        let mut session = self.connect(&inhabitant).await;
        loop {
            let end = until_end(&session).await;
            self.connected.fetch_sub(1, Ordering::Relaxed);
            match end {
                End::Closed => {
                    drop(session);
                    sleep(self.wait(0)).await;
                    session = self.connect(&inhabitant).await;
                }
                End::Move(within) => {
                    let share = 0.1 + 0.9 * self.random.lock().f64();
                    sleep(within.mul_f64(MOVE_WITHIN * share)).await;
                    // The old session ends when the new one is there.
                    session = self.connect(&inhabitant).await;
                }
            }
            let mut back = self.back.lock();
            back.0 = Some(Instant::now());
            back.1 += 1;
        }
    }

    /// Connects to a gateway that lives, and catches up.
    async fn connect(&self, inhabitant: &Inhabitant) -> Session {
        let mut failures = 0;
        loop {
            let gateway = self.fleet.any(&mut self.random.lock());
            if let Ok(session) = gateway.connect(inhabitant.user.clone()).await
                && session.resume(inhabitant.cursors.clone()).await.is_ok()
            {
                self.connected.fetch_add(1, Ordering::Relaxed);
                return session;
            }
            failures += 1;
            sleep(self.wait(failures)).await;
        }
    }

    fn wait(&self, failures: u32) -> Duration {
        let whole = FIRST_WAIT * (1 << failures.min(MOST_DOUBLINGS));
        whole.mul_f64(0.5 + self.random.lock().f64() / 2.0)
    }
}

async fn until_end(session: &Session) -> End {
    let mut events: Vec<Event> = Vec::new();
    while session.events(&mut events).await {
        for event in events.drain(..) {
            if let EventBody::Draining { reconnect_within } = event.body() {
                return End::Move(*reconnect_within);
            }
        }
    }
    End::Closed
}
