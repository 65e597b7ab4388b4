//! Messages that a writer was given and has not settled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use darda_core::adapter::decode_entry;
use darda_core::model::Entry;

use crate::packing::items;

/// Numbers are an entry's, given as they come; deliveries are messages, as the server numbers them. Both
/// grow together.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// By the number of their first entry.
    messages: BTreeMap<u64, Message>,
    next_number: u64,
    /// What is to be delivered, with what is to be delivered again in front.
    waiting: VecDeque<u64>,
}

#[derive(Debug)]
struct Message {
    delivery: u64,
    items: Vec<Item>,
    unsettled: usize,
}

#[derive(Debug)]
enum Item {
    Entry(Arc<Entry>),
    Unreadable,
    Settled,
}

/// What was in a message.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) entries: usize,
    /// Number and bytes of what is no entry, and waits to be settled as one.
    pub(crate) unreadable: Vec<(u64, Vec<u8>)>,
}

impl Held {
    /// Takes a message's entries.
    pub(crate) fn take(&mut self, delivery: u64, bytes: &[u8]) -> Taken {
        let first = self.next_number;
        let mut message = Message {
            delivery,
            items: Vec::new(),
            unsettled: 0,
        };
        let mut unreadable = Vec::new();
        // An empty message is no entry either.
        let nothing = bytes.is_empty().then_some(bytes);
        for item in items(bytes).chain(nothing) {
            let number = self.next_number;
            self.next_number += 1;
            message.unsettled += 1;
            message.items.push(match decode_entry(item) {
                Ok(entry) => {
                    self.waiting.push_back(number);
                    Item::Entry(Arc::new(entry))
                }
                Err(_) => {
                    unreadable.push((number, item.to_vec()));
                    Item::Unreadable
                }
            });
        }
        let entries = message.unsettled;
        self.messages.insert(first, message);
        Taken {
            entries,
            unreadable,
        }
    }

    /// The next entry to deliver.
    pub(crate) fn next(&mut self) -> Option<(u64, Arc<Entry>)> {
        while let Some(number) = self.waiting.pop_front() {
            if let Some(entry) = self.entry(number) {
                return Some((number, entry.clone()));
            }
        }
        None
    }

    /// An entry that is not settled.
    pub(crate) fn entry(&self, number: u64) -> Option<&Arc<Entry>> {
        let (first, message) = self.messages.range(..=number).next_back()?;
        match message.items.get((number - first) as usize)? {
            Item::Entry(entry) => Some(entry),
            Item::Unreadable | Item::Settled => None,
        }
    }

    pub(crate) fn settled(&mut self, number: u64) {
        let Some((first, message)) = self.messages.range_mut(..=number).next_back() else {
            return;
        };
        match message.items.get_mut((number - first) as usize) {
            Some(item @ (Item::Entry(_) | Item::Unreadable)) => {
                *item = Item::Settled;
                message.unsettled -= 1;
            }
            Some(Item::Settled) | None => {}
        }
    }

    /// Entries that are delivered once more, before all others.
    pub(crate) fn deliver_again(&mut self, numbers: Vec<u64>) {
        for number in numbers.into_iter().rev() {
            if self.entry(number).is_some() {
                self.waiting.push_front(number);
            }
        }
    }

    /// The last delivery before which nothing is left to settle.
    pub(crate) fn all_settled_up_to(&self) -> Option<u64> {
        let done = self.messages.values();
        let done = done.take_while(|message| message.unsettled == 0);
        done.last().map(|message| message.delivery)
    }

    /// Deliveries of which everything is settled, after one of which something is not.
    pub(crate) fn settled_beyond(&self) -> Vec<u64> {
        let beyond = self.messages.values();
        let beyond = beyond.skip_while(|message| message.unsettled == 0);
        let beyond = beyond.filter(|message| message.unsettled == 0);
        beyond.map(|message| message.delivery).collect()
    }

    pub(crate) fn forget_up_to(&mut self, delivery: u64) {
        while let Some(first) = self.messages.first_entry() {
            if first.get().delivery > delivery {
                break;
            }
            first.remove();
        }
    }

    pub(crate) fn forget(&mut self, delivery: u64) {
        self.messages
            .retain(|_, message| message.delivery != delivery);
    }

    pub(crate) fn unsettled(&self) -> usize {
        let messages = self.messages.values();
        messages.map(|message| message.unsettled).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{alone, bundle};
    use crate::support::entry;

    /// Messages of so many entries each, delivered as 1, 2, 3 and so on, and all their entries taken.
    fn held(messages: &[u64]) -> (Held, Vec<u64>) {
        let (mut held, mut position) = (Held::default(), 0);
        for (delivery, count) in (1..).zip(messages) {
            let entries: Vec<_> = (0..*count).map(|at| entry(position + at, "text")).collect();
            position += count;
            let bundles = bundle(&entries, |_| 0).unwrap();
            assert_eq!(
                held.take(delivery, &bundles[0].bytes).entries,
                entries.len()
            );
        }
        let positions = next(&mut held);
        (held, positions)
    }

    /// Positions, which are the numbers too.
    fn next(held: &mut Held) -> Vec<u64> {
        std::iter::from_fn(|| held.next())
            .map(|(number, entry)| {
                assert_eq!(number, entry.position.0);
                number
            })
            .collect()
    }

    #[test]
    fn a_message_is_done_with_its_last_entry() {
        let (mut held, numbers) = held(&[3, 1, 2]);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        for number in [0, 2, 3, 5] {
            held.settled(number);
        }
        assert_eq!(held.all_settled_up_to(), None);
        assert_eq!(held.settled_beyond(), [2]);
        held.forget(2);
        held.settled(1);
        assert_eq!(held.all_settled_up_to(), Some(1));
        held.forget_up_to(1);
        assert_eq!(held.unsettled(), 1);
        held.settled(4);
        assert_eq!(held.all_settled_up_to(), Some(3));
        held.forget_up_to(3);
        assert!(held.messages.is_empty());
    }

    #[test]
    fn what_is_to_be_done_again_comes_first_and_in_order() {
        let (mut held, _) = held(&[3]);
        held.take(2, &alone(b"garbage"));
        held.take(3, &bundle(&[entry(4, "text")], |_| 0).unwrap()[0].bytes);
        held.settled(1);
        held.deliver_again(vec![0, 1, 2]);
        assert_eq!(next(&mut held), [0, 2, 4]);
    }

    #[test]
    fn a_second_verdict_changes_nothing() {
        let (mut held, _) = held(&[2]);
        held.settled(0);
        held.settled(0);
        held.settled(99);
        held.deliver_again(vec![0, 99]);
        assert_eq!(held.unsettled(), 1);
        assert_eq!(held.next().map(|(number, _)| number), None);
    }

    #[test]
    fn what_is_no_entry_keeps_its_message_until_it_is_settled() {
        let (mut held, _) = held(&[1]);
        for garbage in [&b""[..], b"x", &alone(b"garbage")] {
            let taken = held.take(2, garbage);
            assert_eq!((taken.entries, taken.unreadable.len()), (1, 1));
            assert_eq!(held.next().map(|(number, _)| number), None);
            held.settled(0);
            assert_eq!(held.all_settled_up_to(), Some(1));
            held.settled(taken.unreadable[0].0);
            assert_eq!(held.all_settled_up_to(), Some(2));
            held.forget(2);
        }
    }
}
