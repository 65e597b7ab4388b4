//! What a send costs: live messages between nodes, look-ups, calls of cache and store, by the size of
//! the conversation and the share of its members who are there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use darda_core::model::limits::MAX_MEMBERS_PER_CHANGE;
use darda_core::model::{
    Body, ClientId, ConversationId, HistoryStart, MemberChange, Message, NodeId, UserId,
};
use darda_core::{Chat, SendRequest, Session};
use futures::future::try_join_all;
use tokio::time::sleep;

use super::counts::{Counted, Op};
use super::fleet::Fleet;
use super::{Failed, simulate, user};

/// Longer than anything that a send leaves behind: routes, the hold of an entry, a writer's batch.
const APART: Duration = Duration::from_secs(2);
/// Longer than a session's first pulse.
const SETTLE: Duration = Duration::from_secs(5);
/// Pulses are counted by [`idle`](super::idle): here they would only be in the way.
const NO_PULSES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct RoutingPlan {
    /// Gateways.
    pub nodes: usize,
    /// Sizes of conversations, each with the number of conversations that are averaged.
    pub sizes: Vec<(usize, usize)>,
    /// The share of the members who have a session, each on a gateway of its own draw; the sender has
    /// one in any case.
    pub online: f64,
    /// Where the draws begin.
    pub seed: u64,
}

/// Sends of one kind, and what they cost together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Phase {
    sends: u64,
    /// What was counted.
    pub counted: Counted,
}

impl Phase {
    fn add(&mut self, sends: usize, counted: &Counted) {
        self.sends += sends as u64;
        self.counted.add(counted);
    }

    /// Calls a send.
    #[must_use]
    pub fn calls(&self, op: Op) -> f64 {
        self.counted.calls(op) as f64 / self.sends.max(1) as f64
    }

    /// Things a send that the calls were about.
    #[must_use]
    pub fn items(&self, op: Op) -> f64 {
        self.counted.items(op) as f64 / self.sends.max(1) as f64
    }
}

/// Sends to conversations of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Routed {
    /// Members.
    pub members: usize,
    /// Members with a session, on average.
    pub online: f64,
    /// Other nodes than the sender's with a member's session, on average.
    pub other_nodes: f64,
    /// Live events a send that came to nodes without a member's session.
    pub in_vain: f64,
    /// The first send since the sender's node has been knowing nothing of the conversation.
    pub first: Phase,
    /// A send, when the last one was two seconds ago.
    pub quiet: Phase,
    /// Sends ten at once.
    pub ten: Phase,
    /// Sends a hundred at once.
    pub hundred: Phase,
}

/// Runs the plan: one row for each size.
///
/// # Errors
/// Where the engine refuses a call, which it must not.
pub fn routing(plan: &RoutingPlan) -> Result<Vec<Routed>, Failed> {
    simulate(async {
        let mut random = fastrand::Rng::with_seed(plan.seed);
        let fleet = Fleet::start(plan.nodes, 1, NO_PULSES);
        let mut rows = Vec::new();
        for (members, conversations) in plan.sizes.iter().copied() {
            let mut talks = Vec::new();
            for number in 0..conversations {
                talks.push(make(&fleet, members, number).await?);
            }
            let mut row = Routed::new(members);
            for talk in &talks {
                talk.count(&fleet, plan.online, &mut random, &mut row)
                    .await?;
            }
            row.average(conversations);
            rows.push(row);
        }
        Ok(rows)
    })
}

/// A conversation and its members, the first of whom made it.
pub(super) struct Talk {
    pub(super) conversation: ConversationId,
    pub(super) users: Vec<UserId>,
}

/// Makes a conversation on a gateway of its own, so that no other one knows of it.
pub(super) async fn make(fleet: &Fleet, members: usize, number: usize) -> Result<Talk, Failed> {
    let of = format!("u{members}-{number}");
    let users = (0..members).map(|number| user(&of, number));
    let users = users.collect::<Result<Vec<_>, _>>()?;
    let maker = fleet.gateway("maker");
    let session = maker.connect(users[0].clone()).await?;
    let conversation = if let [_, other] = users.as_slice() {
        session.open_direct(other.clone()).await?
    } else {
        let mut batches = users[1..].chunks(MAX_MEMBERS_PER_CHANGE);
        let first = batches.next().unwrap_or_default().to_vec();
        let id = ClientId::new("create")?;
        let from = HistoryStart::Beginning;
        let (conversation, _) = session.create_group(id, of, first, from).await?;
        for (number, batch) in batches.enumerate() {
            let add = MemberChange::Add {
                users: batch.to_vec(),
            };
            let id = ClientId::new(format!("add-{number}"))?;
            session.change_members(conversation, id, add).await?;
        }
        conversation
    };
    drop(session);
    maker.shutdown().await;
    Ok(Talk {
        conversation,
        users,
    })
}

/// A member who is there.
struct Online {
    session: Session,
    node: NodeId,
}

impl Talk {
    async fn count(
        &self,
        fleet: &Arc<Fleet>,
        online: f64,
        random: &mut fastrand::Rng,
        row: &mut Routed,
    ) -> Result<(), Failed> {
        let sender = random.usize(..self.users.len());
        let mut sessions = Vec::new();
        for (number, user) in self.users.iter().enumerate() {
            if number == sender || random.f64() < online {
                let chat: Chat = fleet.any(random);
                let session = chat.connect(user.clone()).await?;
                let node = chat.node().clone();
                sessions.push((number, Online { session, node }));
            }
        }
        let nodes: BTreeSet<_> = sessions.iter().map(|(_, one)| one.node.clone()).collect();
        row.online += sessions.len() as f64;
        row.other_nodes += nodes.len() as f64 - 1.0;
        sleep(SETTLE).await;
        let sender = sessions.iter().find(|(number, _)| *number == sender);
        let Some((_, sender)) = sender else {
            return Ok(());
        };
        for (kind, sends) in [("first", 1), ("quiet", 1), ("ten", 10), ("hundred", 100)] {
            drop(fleet.counts.take());
            let requests = (0..sends).map(|number| self.request(kind, number));
            let requests = requests.collect::<Result<Vec<_>, _>>()?;
            try_join_all(requests.into_iter().map(|one| sender.session.send(one))).await?;
            sleep(APART).await;
            let counted = fleet.counts.take();
            if kind == "quiet" {
                let received = counted.received().iter();
                let in_vain = received.filter(|(node, _)| !nodes.contains(*node));
                row.in_vain += in_vain.map(|(_, events)| *events as f64).sum::<f64>();
            }
            let phase = match kind {
                "first" => &mut row.first,
                "quiet" => &mut row.quiet,
                "ten" => &mut row.ten,
                _ => &mut row.hundred,
            };
            phase.add(sends, &counted);
        }
        drop(sessions);
        sleep(APART).await;
        Ok(())
    }

    fn request(&self, kind: &str, number: usize) -> Result<SendRequest, Failed> {
        let id = ClientId::new(format!("{kind}-{number}"))?;
        let body = Body::Message(Message::text("as long as a message is in a chat"));
        Ok(SendRequest::new(self.conversation, id, body))
    }
}

impl Routed {
    fn new(members: usize) -> Self {
        Self {
            members,
            online: 0.0,
            other_nodes: 0.0,
            in_vain: 0.0,
            first: Phase::default(),
            quiet: Phase::default(),
            ten: Phase::default(),
            hundred: Phase::default(),
        }
    }

    /// Makes averages of the sums.
    fn average(&mut self, conversations: usize) {
        let count = conversations.max(1) as f64;
        for sum in [&mut self.online, &mut self.other_nodes, &mut self.in_vain] {
            *sum /= count;
        }
    }
}
