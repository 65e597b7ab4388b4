//! Who talks with whom, and how much: the conversations of a load, and whose turn it is.
//!
//! Everything follows from numbers: the same mix of the same sessions is the same load, on every server.

use std::ops::Range;

use clap::ValueEnum;

use crate::Result;

/// What kind of conversations there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Conversations of one size; each session is in one.
    Even,
    /// A real chat: direct conversations, small and large groups, receipts and typing.
    Chat,
}

/// Fewer do not make a chat.
const LEAST_CHAT: usize = 16;

/// A part of the chat: conversations of one size.
struct Chat {
    members: usize,
    /// Of these conversations each session is in so many.
    each: usize,
    /// Of ten messages so many go there.
    weight: usize,
}

/// Nine of ten messages are in direct conversations and small groups.
const CHAT: [Chat; 3] = [
    Chat {
        members: 2,
        each: 3,
        weight: 6,
    },
    Chat {
        members: 8,
        each: 2,
        weight: 3,
    },
    Chat {
        members: 500,
        each: 1,
        weight: 1,
    },
];

/// The conversations, and the order of the messages.
#[derive(Debug)]
pub(super) struct Mix {
    kind: Kind,
    sessions: usize,
    /// The members of each, as sessions; the first one makes it.
    conversations: Vec<Vec<usize>>,
    parts: Vec<Part>,
    /// Messages go round in this: the part of each, and how many of that part came before it.
    round: Vec<(usize, usize)>,
}

/// Conversations that share a part of the messages.
#[derive(Debug, Clone)]
struct Part {
    conversations: Range<usize>,
    weight: usize,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) conversation: usize,
    pub(super) sender: usize,
}

impl Mix {
    pub(super) fn new(kind: Kind, sessions: usize, members: usize) -> Result<Self> {
        match kind {
            Kind::Even if members < 2 || sessions < members => {
                Err("there must be sessions for one conversation of two members".into())
            }
            Kind::Even => Ok(Self::even(sessions, members)),
            Kind::Chat if sessions < LEAST_CHAT => {
                Err(format!("a chat needs at least {LEAST_CHAT} sessions").into())
            }
            Kind::Chat => Ok(Self::chat(sessions)),
        }
    }

    /// Neighbours talk with each other. Sessions that are left over are not there.
    fn even(sessions: usize, members: usize) -> Self {
        let conversations = (0..sessions / members)
            .map(|number| (number * members..(number + 1) * members).collect())
            .collect();
        let sessions = sessions / members * members;
        Self::of(Kind::Even, sessions, vec![(conversations, 1)])
    }

    fn chat(sessions: usize) -> Self {
        // Always the same, and without regard to who is on which server.
        let mut random = fastrand::Rng::with_seed(1);
        let parts = CHAT.iter().map(|part| {
            let mut order: Vec<usize> = (0..sessions).collect();
            random.shuffle(&mut order);
            let made = (0..part.each).flat_map(|round| {
                if part.members == 2 {
                    return pairs(&order, round);
                }
                if round > 0 {
                    random.shuffle(&mut order);
                }
                groups(&order, part.members)
            });
            (made.collect(), part.weight)
        });
        let parts = parts.collect();
        Self::of(Kind::Chat, sessions, parts)
    }

    fn of(kind: Kind, sessions: usize, made: Vec<(Vec<Vec<usize>>, usize)>) -> Self {
        let mut conversations = Vec::new();
        let mut parts = Vec::new();
        for (members, weight) in made {
            let first = conversations.len();
            conversations.extend(members);
            parts.push(Part {
                conversations: first..conversations.len(),
                weight,
            });
        }
        let weights: Vec<_> = parts.iter().map(|part| part.weight).collect();
        Self {
            kind,
            sessions,
            conversations,
            round: spread(&weights),
            parts,
        }
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// Whether users mark what they get, and type.
    pub(super) fn is_attentive(&self) -> bool {
        self.kind == Kind::Chat
    }

    /// The members of each conversation, as sessions; the first one makes it.
    pub(super) fn conversations(&self) -> &[Vec<usize>] {
        &self.conversations
    }

    /// The conversations of each session.
    pub(super) fn by_session(&self) -> Vec<Vec<usize>> {
        let mut by_session = vec![Vec::new(); self.sessions];
        for (number, members) in self.conversations.iter().enumerate() {
            for member in members {
                by_session[*member].push(number);
            }
        }
        by_session
    }

    /// Who sends a message, and where: the parts by their weight, in each part the conversations in turn,
    /// and in each conversation its members in turn.
    pub(super) fn turn(&self, message: usize) -> Turn {
        let (part, before) = self.round[message % self.round.len()];
        let Part {
            conversations,
            weight,
        } = &self.parts[part];
        let count = message / self.round.len() * weight + before;
        let (place, pass) = (count % conversations.len(), count / conversations.len());
        let conversation = conversations.start + place;
        let members = &self.conversations[conversation];
        Turn {
            conversation,
            // Not everywhere the first one first: most conversations come to one message or two.
            sender: members[(place + pass) % members.len()],
        }
    }

    /// To how many others a message goes.
    pub(super) fn others(&self, message: usize) -> usize {
        self.conversations[self.turn(message).conversation].len() - 1
    }

    /// In words.
    pub(super) fn about(&self) -> String {
        let parts = self.parts.iter().map(|part| {
            let largest = self.conversations[part.conversations.clone()]
                .iter()
                .map(Vec::len)
                .max();
            format!(
                "{} of {}",
                part.conversations.len(),
                largest.unwrap_or_default()
            )
        });
        let parts: Vec<_> = parts.collect();
        format!(
            "{} sessions in conversations: {}",
            self.sessions,
            parts.join(", ")
        )
    }
}

/// Everybody with somebody, with somebody else in each round (the circle method of tournaments). Of an odd
/// number one is left out.
fn pairs(order: &[usize], round: usize) -> Vec<Vec<usize>> {
    let even = order.len() + order.len() % 2;
    let circle = even - 1;
    let met = std::iter::once((circle, round % circle)).chain((1..even / 2).map(|step| {
        let one = (round + step) % circle;
        let other = (round + circle - step) % circle;
        (one, other)
    }));
    met.filter_map(|(one, other)| Some(vec![*order.get(one)?, *order.get(other)?]))
        .collect()
}

/// As few groups as hold everybody at this size, each of the same size or one more.
fn groups(order: &[usize], members: usize) -> Vec<Vec<usize>> {
    let count = order.len().div_ceil(members);
    (0..count)
        .map(|group| {
            let from = group * order.len() / count;
            let to = (group + 1) * order.len() / count;
            order[from..to].to_vec()
        })
        .collect()
}

/// A round in which each part has as many places as it weighs, as far from each other as can be.
fn spread(weights: &[usize]) -> Vec<(usize, usize)> {
    let total: usize = weights.iter().sum();
    let mut given = vec![0; weights.len()];
    (1..=total)
        .filter_map(|place| {
            // Whose share is furthest behind what is due to it by now.
            let behind =
                |part: &usize| (weights[*part] * place).saturating_sub(given[*part] * total);
            let part = (0..weights.len()).rev().max_by_key(behind)?;
            given[part] += 1;
            Some((part, given[part] - 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Messages by the size of their conversation.
    fn by_size(mix: &Mix, messages: usize) -> BTreeMap<usize, usize> {
        let mut sizes = BTreeMap::new();
        for message in 0..messages {
            *sizes.entry(mix.others(message) + 1).or_default() += 1;
        }
        sizes
    }

    #[test]
    fn nine_of_ten_messages_of_a_chat_are_direct_or_in_small_groups() {
        let mix = Mix::new(Kind::Chat, 5_000, 2).unwrap();
        let sizes = by_size(&mix, 10_000);
        assert_eq!(
            sizes,
            BTreeMap::from([(2, 6_000), (8, 3_000), (500, 1_000)])
        );
        assert!(mix.is_attentive());
    }

    #[test]
    fn each_session_of_a_chat_is_in_three_pairs_two_small_groups_and_a_large_one() {
        let mix = Mix::new(Kind::Chat, 5_000, 2).unwrap();
        for own in mix.by_session() {
            let mut sizes: Vec<_> = own
                .iter()
                .map(|it| mix.conversations()[*it].len())
                .collect();
            sizes.sort_unstable();
            assert_eq!(sizes, [2, 2, 2, 8, 8, 500]);
        }
    }

    #[test]
    fn no_two_talk_in_two_direct_conversations() {
        for sessions in [16, 17, 100, 101] {
            let mix = Mix::new(Kind::Chat, sessions, 2).unwrap();
            let pairs = mix.conversations().iter().filter(|it| it.len() == 2);
            let pairs: Vec<BTreeSet<_>> = pairs.map(|it| it.iter().collect()).collect();
            assert!(pairs.iter().all(|pair| pair.len() == 2));
            let different: BTreeSet<_> = pairs.iter().collect();
            assert_eq!(different.len(), pairs.len(), "{sessions} sessions");
            assert_eq!(pairs.len(), sessions / 2 * 3);
        }
    }

    #[test]
    fn with_fewer_sessions_the_groups_are_cut_evenly_and_nobody_is_left_out() {
        let mix = Mix::new(Kind::Chat, 620, 2).unwrap();
        let large: Vec<_> = mix
            .conversations()
            .iter()
            .filter(|it| it.len() > 8)
            .collect();
        assert_eq!(
            large.iter().map(|it| it.len()).collect::<Vec<_>>(),
            [310, 310]
        );
        let mix = Mix::new(Kind::Chat, 100, 2).unwrap();
        let sizes: BTreeSet<_> = mix.conversations().iter().map(Vec::len).collect();
        assert_eq!(sizes, BTreeSet::from([2, 7, 8, 100]));
        assert!(Mix::new(Kind::Chat, 15, 2).is_err());
    }

    #[test]
    fn members_take_turns_and_only_members_send() {
        let mix = Mix::new(Kind::Chat, 40, 2).unwrap();
        let mut senders = BTreeMap::<usize, BTreeSet<usize>>::new();
        for message in 0..20_000 {
            let Turn {
                conversation,
                sender,
            } = mix.turn(message);
            assert!(mix.conversations()[conversation].contains(&sender));
            senders.entry(conversation).or_default().insert(sender);
        }
        for (conversation, members) in mix.conversations().iter().enumerate() {
            assert_eq!(senders[&conversation].len(), members.len());
        }
    }

    #[test]
    fn the_even_mix_has_each_session_once_and_no_attention() {
        let mix = Mix::new(Kind::Even, 11, 5).unwrap();
        assert_eq!(mix.sessions(), 10);
        assert_eq!(
            mix.conversations(),
            [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]]
        );
        assert_eq!(by_size(&mix, 100), BTreeMap::from([(5, 100)]));
        assert!(!mix.is_attentive());
        assert!(Mix::new(Kind::Even, 4, 5).is_err());
        assert!(Mix::new(Kind::Even, 4, 1).is_err());
    }

    #[test]
    fn a_heavy_part_does_not_come_in_a_row() {
        let parts: Vec<_> = spread(&[6, 3, 1]).iter().map(|it| it.0).collect();
        assert_eq!(parts.iter().filter(|it| **it == 0).count(), 6);
        assert!(!parts.windows(3).any(|three| three == [0, 0, 0]));
        assert_eq!(spread(&[1]), [(0, 0)]);
    }
}
