use proptest::prelude::*;

use super::*;
use crate::wire::Body;

fn at(position: u64) -> Position {
    Position(position)
}

fn entry(position: u64, prev: Option<u64>) -> Entry {
    named(&format!("e{position}"), position, prev)
}

fn named(id: &str, position: u64, prev: Option<u64>) -> Entry {
    Entry {
        conversation: "c".into(),
        position: at(position),
        prev: prev.map(Position),
        epoch: 0,
        entry: id.into(),
        sender: "alice".into(),
        client_id: id.into(),
        body: Body::Message {
            text: String::new(),
            reply_to: None,
            mentions: Vec::new(),
            metadata: None,
        },
    }
}

/// What was given: positions, those that came late as negative numbers.
fn given(log: &mut Log) -> Vec<i64> {
    let number = |position: Position| i64::try_from(position.0).unwrap();
    log.take()
        .into_iter()
        .filter_map(|given| match given {
            Given::Entry { entry, late: false } => Some(number(entry.position)),
            Given::Entry { entry, late: true } => Some(-number(entry.position)),
            Given::Withdrawn { .. } => None,
        })
        .collect()
}

fn log() -> Log {
    let mut log = Log::default();
    log.begin(at(0));
    log.fetched(at(0), vec![entry(10, None), entry(20, Some(10))]);
    assert_eq!(given(&mut log), [10, 20]);
    log
}

#[test]
fn an_entry_that_follows_moves_the_cursor_and_those_that_waited_for_it() {
    let mut log = log();
    assert!(log.receive(entry(40, Some(30))));
    assert_eq!(given(&mut log), [0; 0]);
    assert!(!log.receive(entry(30, Some(20))));
    assert_eq!(given(&mut log), [30, 40]);
    assert_eq!(log.cursor(), Some(at(40)));
}

#[test]
fn an_entry_that_is_held_is_dropped() {
    let mut log = log();
    assert!(!log.receive(entry(20, Some(10))));
    log.receive(entry(40, Some(30)));
    assert!(log.receive(entry(40, Some(30))));
    assert_eq!(given(&mut log), [0; 0]);
}

#[test]
fn an_entry_below_the_cursor_is_given_late_and_once() {
    let mut log = log();
    log.receive(entry(15, None));
    log.receive(entry(15, None));
    assert_eq!(given(&mut log), [-15]);
    assert_eq!(log.cursor(), Some(at(20)));
}

#[test]
fn an_entry_whose_prev_is_not_known_waits_for_an_attach() {
    let mut log = log();
    assert!(log.receive(entry(30, None)));
    assert_eq!(given(&mut log), [0; 0]);
    log.fetched(at(20), vec![entry(30, None)]);
    assert_eq!(given(&mut log), [30]);
    assert!(!log.is_broken());
}

#[test]
fn what_is_fetched_is_given_up_to_its_last_and_with_what_follows() {
    let mut log = log();
    log.receive(entry(50, Some(40)));
    log.receive(entry(30, Some(25)));
    log.fetched(
        at(20),
        vec![
            entry(25, Some(20)),
            entry(30, Some(25)),
            entry(40, Some(30)),
        ],
    );
    assert_eq!(given(&mut log), [25, 30, 40, 50]);
}

#[test]
fn an_entry_at_another_position_is_taken_out_of_the_old_one() {
    let mut log = log();
    log.receive(named("e20", 30, Some(20)));
    let given = log.take();
    assert!(matches!(
        &given[0],
        Given::Withdrawn { position, stands, .. } if *position == at(20) && *stands == Some(at(30))
    ));
    assert!(matches!(&given[1], Given::Entry { entry, late: false } if entry.position == at(30)));
}

#[test]
fn what_waited_and_is_not_in_the_answer_does_not_stand() {
    let mut log = log();
    log.receive(entry(40, Some(30)));
    let waited = log.waiting();
    log.fetched(at(20), vec![entry(50, Some(20))]);
    log.settle(&waited);
    assert!(!log.is_broken());
    log.receive(entry(60, Some(50)));
    assert_eq!(given(&mut log), [40, 50, 60]);
}

#[test]
fn what_waited_beyond_the_answer_is_taken_away() {
    let mut log = log();
    log.receive(entry(40, Some(30)));
    let waited = log.waiting();
    log.fetched(at(20), Vec::new());
    log.settle(&waited);
    assert!(!log.is_broken());
    assert_eq!(given(&mut log), [0; 0]);
}

#[test]
fn a_withdrawn_entry_is_taken_out_and_fetched_where_it_stands() {
    let mut log = log();
    assert!(log.withdraw(&"e20".into(), at(20), Some(at(15))));
    assert!(matches!(log.take()[..], [Given::Withdrawn { .. }]));
    log.receive(named("e20", 15, Some(10)));
    assert_eq!(given(&mut log), [-15]);
    assert!(!log.withdraw(&"other".into(), at(10), None));
    assert!(log.take().is_empty());
}

#[test]
fn of_two_at_one_position_both_are_held_until_one_is_withdrawn() {
    let mut log = log();
    assert!(!log.receive(named("twin", 20, Some(10))));
    assert_eq!(given(&mut log), [-20]);
    assert!(!log.withdraw(&"e20".into(), at(20), None));
    assert!(matches!(&log.take()[..], [Given::Withdrawn { entry, .. }] if entry.as_str() == "e20"));
    log.receive(named("twin", 20, Some(10)));
    assert_eq!(given(&mut log), [0; 0]);
}

#[test]
fn of_two_at_one_position_beyond_a_gap_both_are_given_when_it_is_closed() {
    let mut log = log();
    log.receive(entry(40, Some(30)));
    log.receive(named("twin", 40, Some(30)));
    assert!(!log.receive(entry(30, Some(20))));
    assert_eq!(given(&mut log), [30, 40, 40]);
    assert!(!log.is_broken());
}

#[test]
fn what_is_fetched_takes_the_place_of_another_at_its_position() {
    let mut log = log();
    log.receive(named("twin", 20, Some(10)));
    log.take();
    log.fetched(at(10), vec![entry(20, Some(10))]);
    assert!(
        matches!(&log.take()[..], [Given::Withdrawn { entry, .. }] if entry.as_str() == "twin")
    );
}

#[test]
fn nothing_at_or_below_a_stored_cursor_is_given_again() {
    let mut log = Log::default();
    log.begin(at(20));
    log.receive(entry(20, Some(10)));
    log.fetched(at(20), vec![entry(20, Some(10)), entry(30, Some(20))]);
    assert_eq!(given(&mut log), [30]);
}

#[test]
fn what_waits_beyond_a_gap_is_bounded_and_nothing_is_lost() {
    let mut log = log();
    let count = u64::try_from(MAX_AHEAD).unwrap() + 50;
    for position in 0..count {
        log.receive(entry(100 + position, Some(99 + position)));
    }
    assert_eq!(log.waiting().len(), MAX_AHEAD);
    let all = (0..count).map(|position| entry(100 + position, Some(99 + position)));
    log.fetched(at(20), all.collect());
    assert_eq!(given(&mut log).len(), MAX_AHEAD + 50);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut log = log();
    for position in 21..2_000 {
        log.receive(entry(position, Some(position - 1)));
    }
    assert_eq!(log.given.len(), MAX_REMEMBERED);
    assert_eq!(log.places.len(), MAX_REMEMBERED);
    log.take();
    log.receive(entry(100, Some(99)));
    assert!(log.take().is_empty(), "it is left to history");
}

proptest! {
    /// Events are lost, doubled and disordered; whenever the log is broken it may be attached. In the end
    /// each entry was given once, in order.
    #[test]
    fn whatever_happens_to_events_each_entry_is_given_once_and_in_order(
        deeds in prop::collection::vec((0..60_usize, 0..8_u8), 0..200),
    ) {
        let entries: Vec<_> = (0..60_u64)
            .map(|number| entry(10 * (number + 1), number.checked_sub(1).map(|it| 10 * (it + 1))))
            .collect();
        let mut log = Log::default();
        log.begin(at(0));
        let mut all = Vec::new();
        let fetch = |log: &mut Log, up_to: usize| {
            let (cursor, waited) = (log.cursor().unwrap(), log.waiting());
            let after = entries.iter().take(up_to).filter(|it| it.position > cursor);
            log.fetched(cursor, after.cloned().collect());
            waited
        };
        for (number, deed) in deeds {
            match deed {
                0 => drop(fetch(&mut log, number)),
                _ => drop(log.receive(entries[number].clone())),
            }
            all.extend(given(&mut log));
        }
        let waited = fetch(&mut log, 60);
        log.settle(&waited);
        all.extend(given(&mut log));
        let expected: Vec<_> = (1..=60).map(|number| 10 * number).collect();
        prop_assert_eq!(all, expected);
        prop_assert!(!log.is_broken());
    }
}
