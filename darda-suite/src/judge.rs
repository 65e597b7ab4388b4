//! Judges what the devices reported against what the server holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::device::{Life, Seen};
use crate::history::Entry;
use crate::scenario::{Scenario, user};

/// What is wrong; nothing: it is as it should be.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) faults: Vec<String>,
    /// Waiting cannot mend it.
    pub(crate) is_final: bool,
}

impl Verdict {
    /// Something that may come right.
    pub(crate) fn not_yet(fault: String) -> Self {
        Self {
            faults: vec![fault],
            is_final: false,
        }
    }

    fn wait(&mut self, fault: String) {
        self.faults.push(fault);
    }

    fn wrong(&mut self, fault: String) {
        self.faults.push(fault);
        self.is_final = true;
    }
}

/// The history of each conversation.
pub(crate) type Histories = BTreeMap<String, Vec<Entry>>;
/// What each device reported, and whether its process lives.
pub(crate) type Devices = BTreeMap<String, (Seen, bool)>;

pub(crate) fn judge(
    scenario: &Scenario,
    devices: &Devices,
    histories: &Histories,
    conversations: &BTreeMap<(String, String), String>,
) -> Verdict {
    let mut verdict = Verdict::default();
    if conversations.is_empty() {
        verdict.wrong("nothing was sent: the scenario shows nothing".to_owned());
    }
    stored_once(devices, histories, &mut verdict);
    for (name, (seen, alive)) in devices {
        let mine = conversations
            .iter()
            .filter(|((a, b), _)| [a, b].contains(&&user(name).to_owned()))
            .map(|(_, id)| id);
        for conversation in mine {
            let whole = histories
                .get(conversation)
                .map(Vec::as_slice)
                .unwrap_or_default();
            delivered(name, conversation, seen, whole, &mut verdict);
        }
        for (number, life) in seen.lives.iter().enumerate() {
            let name = format!("{name}, process {}", number + 1);
            acknowledged(&name, life, histories, &mut verdict);
            for fault in &life.faults {
                verdict.wrong(format!("{name}: {fault}"));
            }
        }
        told(name, scenario, seen, *alive, &mut verdict);
    }
    verdict
}

fn stored_once(devices: &Devices, histories: &Histories, verdict: &mut Verdict) {
    let mut given: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for (name, (seen, _)) in devices {
        for one in seen.lives.iter().flat_map(|life| &life.given) {
            let senders = given.entry(&one.conversation).or_default();
            senders.entry(name).or_default().push(&one.text);
        }
    }
    let none = Vec::new();
    for (conversation, senders) in &given {
        let history = histories.get(*conversation).unwrap_or(&none);
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for text in history.iter().filter_map(|entry| entry.text.as_deref()) {
            *times.entry(text).or_default() += 1;
        }
        for (name, texts) in senders {
            let stored = texts
                .iter()
                .filter(|text| times.contains_key(*text))
                .count();
            if stored < texts.len() {
                verdict.wait(format!("{name}: {stored} of {} are stored", texts.len()));
                continue;
            }
            let order: BTreeSet<&str> = texts.iter().copied().collect();
            let as_stored: Vec<_> = history
                .iter()
                .filter_map(|entry| entry.text.as_deref())
                .filter(|text| order.contains(text))
                .collect();
            if as_stored != *texts && as_stored.len() == texts.len() {
                verdict.wrong(format!("{name}: stored in another order than sent"));
            }
        }
        for (text, times) in times {
            let known = senders.values().flatten().any(|given| *given == text);
            if !known {
                verdict.wrong(format!("stored, but not sent: {text}"));
            }
            if times > 1 {
                verdict.wrong(format!("stored {times} times: {text}"));
            }
        }
    }
}

fn delivered(
    name: &str,
    conversation: &str,
    seen: &Seen,
    history: &[Entry],
    verdict: &mut Verdict,
) {
    let mut missing: BTreeMap<u64, &str> = history
        .iter()
        .map(|entry| (entry.position, entry.entry.as_str()))
        .collect();
    let moved: BTreeSet<_> = seen.lives.iter().flat_map(|life| &life.moved).collect();
    for (number, life) in seen.lives.iter().enumerate() {
        let name = format!("{name}, process {}", number + 1);
        let (mut last, mut ids) = (0, BTreeSet::new());
        let mut positions = BTreeSet::new();
        for entry in &life.entries {
            if entry.conversation != *conversation || moved.contains(&entry.entry) {
                continue;
            }
            if !ids.insert(&entry.entry) {
                verdict.wrong(format!("{name}: given twice: {:?}", entry.text));
            }
            if entry.late || entry.position <= last {
                verdict.wrong(format!("{name}: not in order: {:?}", entry.text));
            }
            last = entry.position;
            positions.insert(entry.position);
            missing.remove(&entry.position);
            let stored = history.iter().find(|it| it.position == entry.position);
            match stored {
                Some(stored)
                    if stored.entry == entry.entry
                        && stored.sender == entry.sender
                        && stored.text == entry.text => {}
                // An event may come before the history that was read.
                _ => verdict.wait(format!("{name}: not as in history: {:?}", entry.text)),
            }
        }
        if let (Some(first), Some(last)) = (positions.first(), positions.last()) {
            let left_out = history.iter().filter(|entry| {
                (*first..=*last).contains(&entry.position) && !positions.contains(&entry.position)
            });
            let count = left_out.count();
            if count > 0 {
                verdict.wait(format!("{name}: {count} were left out"));
            }
        }
    }
    if !missing.is_empty() {
        let count = missing.len();
        verdict.wait(format!(
            "{name}: {count} of {} were not given",
            history.len()
        ));
    }
}

fn acknowledged(name: &str, life: &Life, histories: &Histories, verdict: &mut Verdict) {
    if let Some(refused) = life.refused.first() {
        verdict.wrong(format!("{name}: {refused}"));
    }
    for given in &life.given {
        let mut acks = life.acked.iter().filter(|acked| acked.text == given.text);
        let Some(ack) = acks.next() else {
            if !life.ended {
                verdict.wait(format!("{name}: no ack of {}", short(&given.text)));
            }
            continue;
        };
        if acks.next().is_some() {
            verdict.wrong(format!("{name}: acked twice: {}", short(&given.text)));
        }
        let stored = histories.get(&ack.conversation).is_some_and(|history| {
            history.iter().any(|entry| {
                entry.position == ack.position
                    && entry.entry == ack.entry
                    && entry.text.as_ref() == Some(&given.text)
            })
        });
        if !stored {
            verdict.wait(format!(
                "{name}: acked, but not as in history: {}",
                short(&given.text)
            ));
        }
    }
}

fn told(name: &str, scenario: &Scenario, seen: &Seen, alive: bool, verdict: &mut Verdict) {
    if let Some(empty) = seen.statuses.iter().find(|status| status.text.is_empty()) {
        verdict.wrong(format!("{name}: a status without a text: {}", empty.state));
    }
    let last = seen.statuses.last().map(|status| status.state.as_str());
    if alive && last != Some("online") {
        verdict.wait(format!("{name}: its last status is {last:?}"));
    }
    let mut statuses = seen.statuses.iter();
    for expected in scenario.told.get(name).into_iter().flatten() {
        if !statuses.any(|status| status.state == *expected) {
            let all: Vec<_> = seen.statuses.iter().map(|it| it.state.as_str()).collect();
            verdict.wait(format!(
                "{name}: did not tell {expected} in its place: {all:?}"
            ));
            return;
        }
    }
}

fn short(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

#[cfg(test)]
mod tests;
