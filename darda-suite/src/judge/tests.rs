//! A suite that cannot fail shows nothing: each thing that it judges, done wrong.

use super::*;
use crate::device::{Acked, Entry as Given, Given as Text, Status};

fn scenario() -> Scenario {
    let told = "[told]\nalice = [\"offline\", \"online\"]";
    toml::from_str(&format!(
        "about = \"\"\ndevices = [\"alice\"]\nsteps = []\n{told}"
    ))
    .unwrap()
}

fn stored(position: u64, text: &str) -> Entry {
    Entry {
        position,
        entry: format!("e{position}"),
        sender: "alice".to_owned(),
        text: Some(text.to_owned()),
    }
}

fn given(position: u64, text: &str) -> Given {
    Given {
        conversation: "c".to_owned(),
        position,
        entry: format!("e{position}"),
        sender: "alice".to_owned(),
        text: Some(text.to_owned()),
        late: false,
    }
}

fn acked(position: u64, text: &str) -> Acked {
    Acked {
        conversation: "c".to_owned(),
        position,
        entry: format!("e{position}"),
        text: text.to_owned(),
    }
}

/// One device that did everything right: three texts.
fn seen() -> Seen {
    let texts = [(1, "one"), (2, "two"), (3, "three")];
    let life = Life {
        entries: texts.iter().map(|(at, text)| given(*at, text)).collect(),
        acked: texts.iter().map(|(at, text)| acked(*at, text)).collect(),
        given: texts
            .iter()
            .map(|(_, text)| Text {
                conversation: "c".to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
        ..Life::default()
    };
    let status = |state: &str| Status {
        state: state.to_owned(),
        text: "A sentence.".to_owned(),
    };
    Seen {
        lives: vec![life],
        statuses: vec![status("online"), status("offline"), status("online")],
    }
}

fn history() -> Vec<Entry> {
    vec![stored(1, "one"), stored(2, "two"), stored(3, "three")]
}

fn judged(seen: Seen, history: Vec<Entry>) -> Vec<String> {
    let devices = BTreeMap::from([("alice".to_owned(), (seen, true))]);
    let histories = BTreeMap::from([("c".to_owned(), history)]);
    let pair = ("alice".to_owned(), "bob".to_owned());
    let conversations = BTreeMap::from([(pair, "c".to_owned())]);
    judge(&scenario(), &devices, &histories, &conversations).faults
}

/// What is found wrong after something was done to what is right.
fn after(change: impl FnOnce(&mut Seen, &mut Vec<Entry>)) -> String {
    let (mut seen, mut history) = (seen(), history());
    change(&mut seen, &mut history);
    let faults = judged(seen, history);
    assert!(!faults.is_empty(), "nothing was found");
    faults.join("; ")
}

#[test]
fn what_is_right_is_not_blamed() {
    assert!(judged(seen(), history()).is_empty());
}

#[test]
fn a_text_that_is_not_stored_is_found() {
    let found = after(|_, history| drop(history.pop()));
    assert!(found.contains("2 of 3 are stored"), "{found}");
}

#[test]
fn a_text_that_is_stored_twice_is_found() {
    let found = after(|_, history| history.push(stored(4, "three")));
    assert!(found.contains("stored 2 times: three"), "{found}");
}

#[test]
fn a_text_that_nobody_sent_is_found() {
    let found = after(|_, history| history.push(stored(4, "four")));
    assert!(found.contains("stored, but not sent: four"), "{found}");
}

#[test]
fn another_order_than_that_of_sending_is_found() {
    let found = after(|seen, _| seen.lives[0].given.swap(0, 1));
    assert!(found.contains("another order"), "{found}");
}

#[test]
fn an_entry_that_was_given_twice_is_found() {
    let found = after(|seen, _| seen.lives[0].entries.push(given(3, "three")));
    assert!(found.contains("given twice"), "{found}");
}

#[test]
fn entries_out_of_order_are_found() {
    let found = after(|seen, _| seen.lives[0].entries.swap(0, 1));
    assert!(found.contains("not in order"), "{found}");
    let found = after(|seen, _| seen.lives[0].entries[1].late = true);
    assert!(found.contains("not in order"), "{found}");
}

#[test]
fn an_entry_that_was_left_out_is_found() {
    let found = after(|seen, _| drop(seen.lives[0].entries.remove(1)));
    assert!(found.contains("1 were left out"), "{found}");
    assert!(found.contains("1 of 3 were not given"), "{found}");
}

#[test]
fn an_entry_that_is_not_as_stored_is_found() {
    let found = after(|seen, _| seen.lives[0].entries[1].text = Some("other".to_owned()));
    assert!(found.contains("not as in history"), "{found}");
}

#[test]
fn a_missing_a_doubled_and_a_wrong_ack_are_found() {
    let found = after(|seen, _| drop(seen.lives[0].acked.pop()));
    assert!(found.contains("no ack of three"), "{found}");
    let found = after(|seen, _| seen.lives[0].acked.push(acked(3, "three")));
    assert!(found.contains("acked twice"), "{found}");
    let found = after(|seen, _| seen.lives[0].acked[0].position = 9);
    assert!(found.contains("acked, but not as in history"), "{found}");
}

#[test]
fn a_refusal_and_a_fault_of_a_process_are_found() {
    let found = after(|seen, _| {
        seen.lives[0]
            .refused
            .push(serde_json::json!({"code": "busy"}))
    });
    assert!(found.contains("busy"), "{found}");
    let found = after(|seen, _| seen.lives[0].faults.push("it ended".to_owned()));
    assert!(found.contains("it ended"), "{found}");
}

#[test]
fn a_state_that_was_not_told_and_one_that_stays_are_found() {
    let found = after(|seen, _| drop(seen.statuses.remove(1)));
    assert!(found.contains("did not tell offline"), "{found}");
    let found = after(|seen, _| drop(seen.statuses.pop()));
    assert!(found.contains("its last status is"), "{found}");
    let found = after(|seen, _| seen.statuses[0].text.clear());
    assert!(found.contains("without a text"), "{found}");
}
