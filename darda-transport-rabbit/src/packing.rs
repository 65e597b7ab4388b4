//! Several items in one message: each as its length (4 bytes, big-endian) and its bytes.

use std::sync::Arc;

use bytes::{Buf, BufMut};
use darda_core::Result;
use darda_core::adapter::{decode_live_event, encode_entry, encode_live_event};
use darda_core::model::Entry;
use darda_core::ports::{LiveEvent, Publication, Route};
use parking_lot::Mutex;

/// A message of live events is begun anew above this size, in bytes.
const FULL: usize = 256 * 1024;
/// Messages of a batch that still take events: with more routes than that, some are sent twice.
const OPEN: usize = 32;
/// Entries of a durable message at the most.
const MAX_ENTRIES: usize = 32;
/// A durable message is begun anew above this size, in bytes.
const FULL_DURABLE: usize = 64 * 1024;
/// What of an average is left when another message is counted.
const KEPT: f64 = 0.99;

/// Live events with their route.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) route: Route,
    pub(crate) bytes: Vec<u8>,
}

/// Entries for the durable queue of this number.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) queue: u16,
    pub(crate) entries: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Adds an item to a message. None comes near 4 GiB: entries are bounded.
fn add(message: &mut Vec<u8>, item: &[u8]) {
    message.reserve(item.len() + 4);
    message.put_u32(item.len() as u32);
    message.extend_from_slice(item);
}

/// A message of one item.
pub(crate) fn alone(item: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    add(&mut message, item);
    message
}

/// The items of a message; what is left at the end of one that is cut off is an item too.
pub(crate) fn items(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let mut after = bytes;
        let length = after
            .try_get_u32()
            .map_or(usize::MAX, |length| length as usize);
        let (item, rest) = after.split_at_checked(length).unwrap_or((bytes, &[]));
        bytes = rest;
        Some(item)
    })
}

/// Gathers entries that go to the same queue; each queue gets its own in their order.
pub(crate) fn bundle(
    entries: &[Arc<Entry>],
    queue_of: impl Fn(&Entry) -> u16,
) -> Result<Vec<Bundle>> {
    let mut bundles: Vec<Bundle> = Vec::new();
    for entry in entries {
        let queue = queue_of(entry);
        let bytes = encode_entry(entry)?;
        let last = bundles
            .iter_mut()
            .rev()
            .find(|bundle| bundle.queue == queue);
        match last {
            Some(last)
                if last.entries < MAX_ENTRIES && last.bytes.len() + bytes.len() <= FULL_DURABLE =>
            {
                add(&mut last.bytes, &bytes);
                last.entries += 1;
            }
            _ => bundles.push(Bundle {
                queue,
                entries: 1,
                bytes: alone(&bytes),
            }),
        }
    }
    Ok(bundles)
}

/// How many entries a durable message has, on average of the last ones that this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Average(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    entries: f64,
    messages: f64,
}

impl Average {
    pub(crate) fn count(&self, entries: usize) {
        let mut sums = self.0.lock();
        sums.entries = sums.entries * KEPT + entries as f64;
        sums.messages = sums.messages * KEPT + 1.0;
    }

    /// Entries of so many messages, roughly; each has one at least.
    pub(crate) fn entries_of(&self, messages: u64) -> u64 {
        let sums = self.0.lock();
        let average = (sums.entries / sums.messages).max(1.0);
        (messages as f64 * average).round() as u64
    }
}

/// Gathers events that go the same way.
pub(crate) fn pack(publications: Vec<Publication>) -> Result<Vec<Packed>> {
    let mut packed: Vec<Packed> = Vec::new();
    for Publication { route, event } in publications {
        let event = encode_live_event(&event)?;
        let open = packed.len().saturating_sub(OPEN);
        let same_way = packed[open..]
            .iter_mut()
            .find(|message| message.route == route && message.bytes.len() < FULL);
        match same_way {
            Some(message) => add(&mut message.bytes, &event),
            None => packed.push(Packed {
                route,
                bytes: alone(&event),
            }),
        }
    }
    Ok(packed)
}

/// The events of a message. What cannot be read is dropped and said: live events may be lost.
pub(crate) fn unpack(bytes: &[u8], events: &mut Vec<LiveEvent>) {
    for event in items(bytes) {
        match decode_live_event(event) {
            Ok(event) => events.push(event),
            Err(error) => tracing::warn!(%error, "a live event cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use darda_core::adapter::decode_entry;

    use super::*;
    use crate::support::entry;

    /// The queue is the position modulo three.
    fn bundles(entries: &[Arc<Entry>]) -> Vec<Bundle> {
        bundle(entries, |entry| (entry.position.0 % 3) as u16).unwrap()
    }

    #[test]
    fn each_queue_gets_its_entries_in_their_order() {
        let entries: Vec<_> = (0..200).map(|position| entry(position, "text")).collect();
        let bundles = bundles(&entries);
        for queue in 0..3 {
            let own = bundles.iter().filter(|bundle| bundle.queue == queue);
            let read: Vec<_> = own
                .flat_map(|bundle| items(&bundle.bytes))
                .map(|item| decode_entry(item).unwrap().position.0)
                .collect();
            let sent: Vec<_> = (0..200).filter(|it| it % 3 == u64::from(queue)).collect();
            assert_eq!(read, sent);
        }
    }

    #[test]
    fn a_message_ends_at_its_bounds() {
        let small: Vec<_> = (0..100).map(|number| entry(number * 3, "text")).collect();
        let counts: Vec<_> = bundles(&small).iter().map(|one| one.entries).collect();
        assert_eq!(counts, [32, 32, 32, 4]);

        let text = "x".repeat(FULL_DURABLE / 4);
        let large: Vec<_> = (0..10).map(|number| entry(number * 3, &text)).collect();
        let bundles = bundles(&large);
        let counts: Vec<_> = bundles.iter().map(|one| one.entries).collect();
        assert_eq!(counts, [3, 3, 3, 1]);
        assert!(
            bundles
                .iter()
                .all(|one| one.bytes.len() <= FULL_DURABLE + 4 * MAX_ENTRIES)
        );
    }

    #[test]
    fn a_message_that_is_cut_off_gives_what_it_has() {
        let mut message = alone(b"one");
        add(&mut message, b"two");
        for end in 0..message.len() {
            let read: Vec<_> = items(&message[..end]).collect();
            match end {
                0 => assert!(read.is_empty()),
                1..7 => assert_eq!(read, [&message[..end]]),
                7 => assert_eq!(read, [b"one"]),
                _ => assert_eq!(read, [b"one", &message[7..end]]),
            }
        }
        assert_eq!(items(&message).collect::<Vec<_>>(), [b"one", b"two"]);
    }

    #[test]
    fn the_average_follows_what_is_seen() {
        let average = Average::default();
        assert_eq!(average.entries_of(7), 7);
        average.count(5);
        assert_eq!(average.entries_of(2), 10);
        for _ in 0..1000 {
            average.count(1);
        }
        assert_eq!(average.entries_of(100), 100);
    }
}
