//! Everybody: connects them, has them make their conversations, and tells them what to say when.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use darda_client::ClientId;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::Connector;

use super::attention::Joined;
use super::ledger::Fate;
use super::line::Line;
use super::mix::{Mix, Turn};
use super::protocol::Founding;
use super::rhythm::{Act, acts};
use super::session::{Order, Run, Session};
use super::{Options, ledger};
use crate::Result;

/// Connections and conversations that are made at a time.
const AT_ONCE: usize = 32;
/// Orders that wait for one session; a message that comes on top is `NotSent`.
const ORDERS: usize = 4_096;
/// How finely typing and the like are timed.
const TICK: Duration = Duration::from_millis(100);

/// Everybody, connected and in their conversations.
#[derive(Debug)]
pub(super) struct Cast {
    mix: Arc<Mix>,
    conversations: Vec<Arc<str>>,
    sessions: Vec<Member>,
    /// The number of the next message; none is used twice.
    next: usize,
}

#[derive(Debug)]
struct Member {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<Result<()>>,
}

impl Cast {
    pub(super) async fn gather(options: &Options, mix: Arc<Mix>) -> Result<Self> {
        let dialect = options.protocol.dialect();
        let connector = Connector::Rustls(options.trust.tls()?.rustls()?);
        let name: Arc<str> = format!("load {} ", ClientId::draw()).into();
        let sessions = stream::iter(0..mix.sessions())
            .map(|number| {
                let server = &options.servers[number % options.servers.len()];
                let url = dialect.address(server, &user(number));
                let (name, connector) = (name.clone(), connector.clone());
                async move {
                    let (orders, receiver) = mpsc::channel(ORDERS);
                    let line = Line::open(&url, dialect.subprotocol(), connector).await?;
                    let opening =
                        Session::open(number, dialect, line, receiver, name, options.bytes);
                    let task = tokio::spawn(opening.await?.run());
                    Ok::<_, crate::Failure>(Member { orders, task })
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut cast = Self {
            mix,
            conversations: Vec::new(),
            sessions,
            next: 0,
        };
        cast.found(&name).await?;
        cast.join(options.receipts_up_to.unwrap_or(usize::MAX))
            .await?;
        Ok(cast)
    }

    async fn found(&mut self, name: &str) -> Result<()> {
        let made = self.mix.conversations().iter().enumerate();
        // Channels and rooms of peers take no spaces.
        let name = name.trim().replace(' ', "-");
        let made = made.map(|(number, members)| {
            let founding = Founding {
                name: format!("{name}-{number}"),
                others: members.iter().skip(1).map(|it| user(*it)).collect(),
            };
            let founder = members.first().copied().unwrap_or_default();
            let order = |made| Order::Found(founding, made);
            self.ask(founder, order)
        });
        let made: Vec<_> = made.collect();
        self.conversations = stream::iter(made).buffered(AT_ONCE).try_collect().await?;
        Ok(())
    }

    /// Has everybody hear of their conversations, and attend to those of up to so many members.
    async fn join(&self, receipts_up_to: usize) -> Result<()> {
        let joined = |number: usize| {
            let members = self.mix.conversations()[number].len();
            Joined {
                conversation: self.conversations[number].clone(),
                attended: members <= receipts_up_to,
            }
        };
        let attentive = self.mix.is_attentive();
        let by_session = self.mix.by_session().into_iter().enumerate();
        let joining = by_session.map(|(session, numbers)| {
            let conversations = numbers.into_iter().map(joined).collect();
            self.ask(session, move |done| Order::Join {
                conversations,
                attentive,
                done,
            })
        });
        let joining: Vec<_> = joining.collect();
        stream::iter(joining)
            .buffered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// Gives an order and waits for what comes of it.
    async fn ask<T>(
        &self,
        session: usize,
        order: impl FnOnce(oneshot::Sender<Result<T>>) -> Order,
    ) -> Result<T> {
        let (reply, replied) = oneshot::channel();
        let given = self.sessions[session].orders.send(order(reply)).await;
        let gone = "a session ended while the load was set up";
        given.map_err(|_| gone)?;
        replied.await.map_err(|_| gone)?
    }

    /// A run at this rate, with as many seconds before it that are not measured.
    pub(super) async fn begin(
        &mut self,
        rate: f64,
        warm_up: u64,
        seconds: u64,
    ) -> Result<Arc<Run>> {
        let (warm_up, measured) = (messages(rate, warm_up), messages(rate, seconds));
        let ledger = ledger::Ledger::new(self.mix.clone(), rate, self.next, warm_up, measured);
        self.next += warm_up + measured;
        let run = Arc::new(Run {
            ledger,
            board: super::tally::Board::new()?,
        });
        for session in &self.sessions {
            let begun = session.orders.send(Order::Begin(run.clone())).await;
            begun.map_err(|_| "a session ended before the load began")?;
        }
        Ok(run)
    }

    /// Offers messages when they are due. What is late is offered at once; nothing is left out.
    pub(super) async fn offer(&self, run: &Run, messages: std::ops::Range<usize>) {
        for message in messages {
            sleep_until(run.ledger.due(message)).await;
            let Turn {
                conversation,
                sender,
            } = self.mix.turn(message);
            let order = Order::Send {
                message,
                conversation: self.conversations[conversation].clone(),
            };
            if self.sessions[sender].orders.try_send(order).is_err() {
                run.ledger.set(message, Fate::NotSent);
            }
        }
    }

    /// Has users type and look around, if they do in this mix. It does not end.
    pub(super) async fn live(&self) -> Infallible {
        if !self.mix.is_attentive() {
            return std::future::pending().await;
        }
        let began = Instant::now();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = 0;
        loop {
            ticks.tick().await;
            let now = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            for (session, act) in acts(self.sessions.len(), done..now) {
                let order = match act {
                    Act::Typing(active) => Order::Type(active),
                    Act::Look => Order::Look,
                };
                // A session with so much to do does not get to it: no message is lost by that.
                drop(self.sessions[session].orders.try_send(order));
            }
            done = now;
        }
    }

    /// The first failure of a session, if there is one.
    pub(super) async fn failure(&mut self) -> Result<()> {
        for session in &mut self.sessions {
            if session.task.is_finished() {
                return Err((&mut session.task)
                    .await?
                    .err()
                    .unwrap_or_else(|| "a session ended early".into()));
            }
        }
        Ok(())
    }

    /// Ends everybody.
    pub(super) async fn dismiss(self) -> Result<()> {
        let mut tasks = Vec::new();
        for Member { orders, task } in self.sessions {
            drop(orders);
            tasks.push(task);
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    }
}

/// The user of a session; the same in each load, so that a server does not fill up with users.
fn user(number: usize) -> String {
    format!("load-{number}")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a count of messages"
)]
fn messages(rate: f64, seconds: u64) -> usize {
    (rate * seconds as f64).round() as usize
}
