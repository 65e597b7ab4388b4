//! Who talks with whom, drawn from a seed.

use std::collections::BTreeSet;

use darda_core::model::{ClientId, ConversationId, UserId};
use fastrand::Rng;

use crate::Result;

/// How many there are of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Users, each with one client.
    pub(crate) clients: usize,
    /// Conversations; two in five are direct.
    pub(crate) conversations: usize,
}

impl Size {
    /// What the proof runs with.
    pub(crate) const FULL: Self = Self {
        clients: 200,
        conversations: 50,
    };
}

/// The users and their conversations.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) users: Vec<UserId>,
    pub(crate) talks: Vec<Talk>,
}

/// A conversation and who is in it, as numbers of users.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) conversation: ConversationId,
    /// Of a group: its creation's name.
    pub(crate) group: Option<ClientId>,
    /// Whether those who are added later see what was before.
    pub(crate) joining: bool,
    /// Members for ever; the first is a group's owner.
    pub(crate) core: Vec<usize>,
    /// Users who are added and removed.
    pub(crate) guests: Vec<usize>,
}

impl Talk {
    /// All who may ever be members.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = usize> {
        self.core.iter().chain(&self.guests).copied()
    }
}

impl Cast {
    /// Draws a cast. `round` keeps the names of several in one system apart.
    pub(crate) fn draw(size: Size, round: usize, rng: &mut Rng) -> Result<Self> {
        let users = (0..size.clients).map(|number| UserId::new(format!("r{round}u{number}")));
        let users = users.collect::<std::result::Result<Vec<_>, _>>()?;
        let mut talks: Vec<Talk> = Vec::new();
        let mut pairs = BTreeSet::new();
        // Everybody is in something: the core members go around.
        let mut next = 0;
        while talks.len() < size.conversations {
            let direct = talks.len() % 5 < 2;
            let count = if direct { 2 } else { rng.usize(4..=9) };
            let core: Vec<_> = (next..next + count).map(|at| at % users.len()).collect();
            next += count;
            if direct {
                let (a, b) = (core[0].min(core[1]), core[0].max(core[1]));
                if a == b || !pairs.insert((a, b)) {
                    continue;
                }
                talks.push(Talk {
                    conversation: ConversationId::direct(&users[a], &users[b]),
                    group: None,
                    joining: false,
                    core,
                    guests: Vec::new(),
                });
                continue;
            }
            let name = ClientId::new(format!("group-{round}-{}", talks.len()))?;
            let mut guests = BTreeSet::new();
            while guests.len() < 3 {
                let guest = rng.usize(..users.len());
                if !core.contains(&guest) {
                    guests.insert(guest);
                }
            }
            talks.push(Talk {
                conversation: ConversationId::group(&users[core[0]], &name),
                group: Some(name),
                joining: rng.bool(),
                core,
                guests: guests.into_iter().collect(),
            });
        }
        Ok(Self { users, talks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_cast_and_everybody_is_in_something() {
        let draw = || Cast::draw(Size::FULL, 1, &mut Rng::with_seed(7)).unwrap();
        let (one, other) = (draw(), draw());
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        let busy: BTreeSet<_> = one.talks.iter().flat_map(Talk::everybody).collect();
        assert_eq!(busy.len(), Size::FULL.clients);
        assert_eq!(one.talks.len(), Size::FULL.conversations);
    }
}
