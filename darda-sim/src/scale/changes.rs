//! What changes of members cost: a small group that is made, and somebody who joins; every node that has a
//! member reads the members again.

use std::collections::BTreeSet;
use std::time::Duration;

use darda_core::model::limits::MAX_MEMBERS_PER_CHANGE;
use darda_core::model::{ClientId, HistoryStart, MemberChange};
use tokio::time::sleep;

use super::counts::Counted;
use super::fleet::Fleet;
use super::routing::make;
use super::{Failed, simulate, user};

const SETTLE: Duration = Duration::from_secs(5);
const NO_PULSES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct ChangesPlan {
    /// Gateways.
    pub nodes: usize,
    /// Sizes of groups before the change; at least three members, and one less than the largest.
    pub sizes: Vec<usize>,
    /// Where the draws begin.
    pub seed: u64,
}

/// One new member of a group, all of whose members are there.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Members before.
    pub members: usize,
    /// Nodes that have a member's session.
    pub nodes: usize,
    /// What was counted while the newcomer joined.
    pub counted: Counted,
    /// What was counted while another group was made of the first of them, at most a hundred.
    pub created: Counted,
}

/// Runs the plan: one row for each size.
///
/// # Errors
/// Where the engine refuses a call, which it must not.
pub fn changes(plan: &ChangesPlan) -> Result<Vec<Changed>, Failed> {
    simulate(async {
        let mut random = fastrand::Rng::with_seed(plan.seed);
        let fleet = Fleet::start(plan.nodes, 1, NO_PULSES);
        let mut rows = Vec::new();
        for members in plan.sizes.iter().copied() {
            let talk = make(&fleet, members, 0).await?;
            let mut sessions = Vec::new();
            let mut nodes = BTreeSet::new();
            for user in &talk.users {
                let chat = fleet.any(&mut random);
                nodes.insert(chat.node().clone());
                sessions.push(chat.connect(user.clone()).await?);
            }
            let newcomer = user("newcomer", members)?;
            let newcomer = fleet.any(&mut random).connect(newcomer).await?;
            sleep(SETTLE).await;
            drop(fleet.counts.take());
            let add = MemberChange::Add {
                users: vec![newcomer.user().clone()],
            };
            let owner = &sessions[0];
            let id = ClientId::new("newcomer")?;
            owner.change_members(talk.conversation, id, add).await?;
            sleep(SETTLE).await;
            let counted = fleet.counts.take();
            let others = talk.users[1..].iter().take(MAX_MEMBERS_PER_CHANGE - 1);
            let (id, others) = (ClientId::new("another")?, others.cloned().collect());
            let (title, history) = ("another".to_owned(), HistoryStart::Beginning);
            owner.create_group(id, title, others, history).await?;
            sleep(SETTLE).await;
            rows.push(Changed {
                members,
                nodes: nodes.len(),
                counted,
                created: fleet.counts.take(),
            });
            drop((sessions, newcomer));
            sleep(SETTLE).await;
        }
        Ok(rows)
    })
}
