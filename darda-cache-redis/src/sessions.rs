//! The sessions that this process registered, so that their keys do not expire while they live.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use darda_core::model::{NodeId, SessionId, UserId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Users whose keys are kept by one renewal.
const SLICE: usize = 256;
/// How often each is kept. Far more often than keys expire.
const ROUND: Duration = Duration::from_secs(6 * 60 * 60);

/// Sessions by node. Bounded by what the nodes of this process, usually one, registered.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<NodeId, OfNode>>);

#[derive(Debug, Default)]
struct OfNode {
    users: BTreeMap<u64, UserId>,
    /// How far the present round has come.
    kept: Option<u64>,
    next_round: Option<Instant>,
}

impl Sessions {
    pub(crate) fn add<'a>(
        &self,
        node: &NodeId,
        sessions: impl IntoIterator<Item = &'a (UserId, SessionId)>,
    ) {
        let mut nodes = self.0.lock();
        let node = nodes.entry(node.clone()).or_default();
        for (user, session) in sessions {
            node.users.insert(session.number, user.clone());
        }
    }

    pub(crate) fn remove<'a>(&self, sessions: impl IntoIterator<Item = &'a SessionId>) {
        let mut nodes = self.0.lock();
        for session in sessions {
            if let Some(node) = nodes.get_mut(&session.node) {
                node.users.remove(&session.number);
            }
        }
    }

    pub(crate) fn remove_node(&self, node: &NodeId) {
        self.0.lock().remove(node);
    }

    /// The users whose keys are to be kept now.
    pub(crate) fn slice(&self, node: &NodeId, now: Instant) -> Vec<UserId> {
        let mut nodes = self.0.lock();
        let Some(node) = nodes.get_mut(node) else {
            return Vec::new();
        };
        let round = *node.next_round.get_or_insert(now + ROUND);
        if now < round {
            return Vec::new();
        }
        let from = node.kept.map_or(Bound::Unbounded, Bound::Excluded);
        let slice = node.users.range((from, Bound::Unbounded)).take(SLICE);
        let (numbers, users): (Vec<_>, Vec<_>) =
            slice.map(|(number, user)| (*number, user.clone())).unzip();
        node.kept = numbers.last().copied();
        if numbers.len() < SLICE {
            node.kept = None;
            node.next_round = Some(now + ROUND);
        }
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_keeps_every_session_once() {
        let (sessions, node) = (Sessions::default(), NodeId::new("n"));
        let of = |number: u64| {
            let session = SessionId {
                node: node.clone(),
                number,
            };
            (UserId::new(format!("{number}")).unwrap(), session)
        };
        let all: Vec<_> = (0..600).map(of).collect();
        sessions.add(&node, &all);
        sessions.remove([&all[7].1]);
        let start = Instant::now();
        assert!(sessions.slice(&node, start).is_empty());
        let later = start + ROUND * 3;
        let lens = [(); 4].map(|()| sessions.slice(&node, later).len());
        assert_eq!(lens, [256, 256, 87, 0]);
        sessions.remove_node(&node);
        assert!(sessions.slice(&node, start + ROUND * 9).is_empty());
    }
}
