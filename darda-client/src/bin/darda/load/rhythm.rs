//! When the users of a chat type, and when they open their next conversation: by the clock, each at a time
//! of its own.

use std::ops::Range;

/// A user types for so long, in milliseconds. The server ends it after as long without a repeat.
const TYPES: i64 = 6_000;
/// While one types, it is said again so often; as the page does.
const AGAIN: i64 = 3_000;
/// Between the beginnings of one user's typing: one in a hundred types at any time.
const BETWEEN: i64 = 100 * TYPES;
/// How long a conversation is open.
const OPEN: i64 = 10_000;

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Typing(bool),
    /// Opens the next conversation.
    Look,
}

/// What so many users do between two times, in milliseconds since the beginning.
pub(super) fn acts(users: usize, during: Range<i64>) -> impl Iterator<Item = (usize, Act)> {
    const ACTS: [(Act, i64, i64); 4] = [
        (Act::Typing(true), 0, BETWEEN),
        (Act::Typing(true), AGAIN, BETWEEN),
        (Act::Typing(false), TYPES, BETWEEN),
        (Act::Look, 0, OPEN),
    ];
    let count = i64::try_from(users.max(1)).unwrap_or(i64::MAX);
    (0..users).zip(0..).flat_map(move |(user, number)| {
        let during = during.clone();
        ACTS.iter().filter_map(move |(act, after, every)| {
            let first = number * every / count + after;
            let until = |time: i64| (time - 1 - first).div_euclid(*every);
            (until(during.start) < until(during.end)).then_some((user, *act))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_types_at_any_time() {
        let mut typing = vec![false; 400];
        let mut last_said = vec![0; 400];
        for now in (0..2 * BETWEEN).step_by(500) {
            for (user, act) in acts(400, now..now + 500) {
                if let Act::Typing(active) = act {
                    typing[user] = active;
                    last_said[user] = now;
                }
            }
            // Some typed already when it began, and did not say so.
            if now >= TYPES {
                let count = typing.iter().filter(|it| **it).count();
                assert!((3..=5).contains(&count), "{count} type");
                // The server would end it.
                let said = typing.iter().zip(&last_said);
                let forgotten =
                    said.filter(|(typing, said)| **typing && now - **said > AGAIN + 500);
                assert_eq!(forgotten.count(), 0);
            }
        }
    }

    #[test]
    fn everybody_opens_a_conversation_every_ten_seconds_and_not_all_at_once() {
        let mut looks = vec![0; 100];
        for now in (0..20_000).step_by(100) {
            let now_looking = acts(100, now..now + 100).filter(|(_, act)| *act == Act::Look);
            let users: Vec<_> = now_looking.map(|(user, _)| user).collect();
            assert!(users.len() <= 2, "{} at once", users.len());
            for user in users {
                looks[user] += 1;
            }
        }
        assert!(looks.iter().all(|it| *it == 2));
    }
}
