//! Connects everybody, and makes their conversations.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use darda_client::wire::{Command, HistoryStart};
use darda_client::{Append, ClientId, Connection, ConversationId, Incoming, Tls, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use super::Options;
use super::ledger::{Fate, Ledger};
use super::session::{Order, Session, Tally};
use crate::{Result, address};

/// Connections that are made at a time.
const AT_ONCE: usize = 32;
/// Messages that wait for one session; a server that takes none makes them `NotSent`.
const ORDERS: usize = 4_096;
/// Users of one command that makes or enlarges a group; the server's limit.
const USERS: usize = 100;
/// For each answer while everything is made.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everybody, connected.
#[derive(Debug)]
pub(super) struct Gathered {
    name: Arc<str>,
    warm_up: usize,
    conversations: Vec<ConversationId>,
    /// The members of the first conversation, then of the second…
    connections: Vec<Connection>,
    members: usize,
}

/// Everybody, at work.
#[derive(Debug)]
pub(super) struct Cast {
    conversations: Vec<ConversationId>,
    members: usize,
    sessions: Vec<(mpsc::Sender<Order>, JoinHandle<Result<Tally>>)>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    id: Option<u64>,
    ok: Option<Made>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Made {
    conversation: Option<ConversationId>,
}

pub(super) async fn gather(options: &Options) -> Result<Gathered> {
    let name: Arc<str> = format!("load {} ", ClientId::draw()).into();
    let conversations = options.sessions / options.members;
    let sessions = conversations * options.members;
    let tls = Tls::default();
    let mut connections: Vec<_> = stream::iter(0..sessions)
        .map(|number| {
            let server = &options.servers[number % options.servers.len()];
            let url = address(server, &user(number));
            let tls = &tls;
            async move { Ok::<_, crate::Failure>(Connection::open(&url, tls).await?) }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let made = connections
        .chunks_mut(options.members)
        .enumerate()
        .map(|(number, members)| make(number * options.members, members));
    let made: Vec<_> = made.collect();
    let conversations = stream::iter(made).buffered(AT_ONCE).try_collect().await?;
    Ok(Gathered {
        name,
        warm_up: super::messages(options, options.warm_up),
        conversations,
        connections,
        members: options.members,
    })
}

/// The user of a session; the same in each load, so that a server does not fill up with users.
fn user(number: usize) -> String {
    format!("load-{number}")
}

/// Makes the conversation of some sessions that stand side by side.
async fn make(first: usize, members: &mut [Connection]) -> Result<ConversationId> {
    let count = members.len();
    let others: Vec<UserId> = (first + 1..first + count)
        .map(|it| UserId::new(user(it)))
        .collect();
    let Some(owner) = members.first_mut() else {
        return Err("a conversation of nobody".into());
    };
    if let [other] = &others[..] {
        let opened = ask(
            owner,
            0,
            &Command::OpenDirect {
                user: other.clone(),
            },
        )
        .await?;
        return Ok(opened.conversation.ok_or("no conversation")?);
    }
    let mut parts = others.chunks(USERS);
    let created = Command::CreateGroup {
        client_id: ClientId::draw(),
        title: "load".to_owned(),
        members: parts.next().unwrap_or_default().to_vec(),
        history: HistoryStart::Beginning,
        resend: false,
    };
    let created = ask(owner, 0, &created).await?;
    let conversation = created.conversation.ok_or("no conversation")?;
    for (number, users) in (1..).zip(parts) {
        let add = Command::Append {
            conversation: conversation.clone(),
            client_id: ClientId::draw(),
            append: Append::Add {
                users: users.to_vec(),
            },
            resend: false,
        };
        ask(owner, number, &add).await?;
    }
    Ok(conversation)
}

async fn ask(connection: &mut Connection, id: u64, command: &Command) -> Result<Made> {
    if !connection.send(command.frame(id)?) {
        return Err("the connection ended at once".into());
    }
    let answer = async {
        loop {
            match connection.next().await {
                Incoming::Frame(text) => {
                    let frame: Frame = serde_json::from_str(&text)?;
                    if frame.id == Some(id) {
                        let refused = frame.error.map(|error| error.to_string());
                        return frame.ok.ok_or(refused.unwrap_or_default().into());
                    }
                }
                Incoming::Closed(code) => return Err(format!("closed with {code}").into()),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, answer)
        .await
        .map_err(|_| "no answer while the load was set up")?
}

impl Gathered {
    /// Sets everybody to work.
    pub(super) fn start(self, ledger: &Arc<Ledger>, bytes: usize) -> Cast {
        let others = u32::try_from(self.members - 1).unwrap_or(u32::MAX);
        let sessions = self.connections.into_iter().map(|connection| {
            let (order, orders) = mpsc::channel(ORDERS);
            let session = Session {
                connection,
                orders,
                ledger: ledger.clone(),
                name: self.name.clone(),
                bytes,
                others,
                warm_up: self.warm_up,
            };
            (order, tokio::spawn(session.run()))
        });
        Cast {
            sessions: sessions.collect(),
            conversations: self.conversations,
            members: self.members,
        }
    }
}

impl Cast {
    /// Offers messages when they are due: the conversations in turn, and in each its members in turn.
    /// What is late is offered at once; nothing is left out.
    pub(super) async fn offer(&self, ledger: &Ledger, messages: Range<usize>) {
        for message in messages {
            sleep_until(ledger.due(message)).await;
            let count = self.conversations.len();
            let (conversation, turn) = (message % count, message / count);
            let sender = conversation * self.members + turn % self.members;
            let order = Order {
                message,
                conversation: self.conversations[conversation].clone(),
            };
            if self.sessions[sender].0.try_send(order).is_err() {
                ledger.set(message, Fate::NotSent);
            }
        }
    }

    /// Ends everybody, and says what they noted.
    pub(super) async fn finish(self) -> Result<Vec<Tally>> {
        let mut tallies = Vec::new();
        for (order, session) in self.sessions {
            drop(order);
            tallies.push(session.await??);
        }
        Ok(tallies)
    }
}
