//! Numbers in messages, by which the receiver sees that none is lost, doubled or out of order.
//!
//! A stamp is eight hexadecimal digits at the start of a message's text. A text is found in a frame
//! by its place: it is where it was in the frame before, or else it is searched for.

use crate::Result;

/// Bytes of a stamp.
pub(crate) const STAMP: usize = 8;
/// What stands before the text in a frame of `darda.v1`.
const TEXT: &[u8] = b"\"text\":\"";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The stamp of a number. Numbers wrap at 2³², which no run reaches.
pub(crate) fn stamp(number: u64) -> [u8; STAMP] {
    let mut digits = [0; STAMP];
    for (at, digit) in digits.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (4 * at) & 15) as usize];
    }
    digits
}

/// The number of a stamp.
pub(crate) fn unstamp(digits: [u8; STAMP]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

/// A message's text of this many bytes.
pub(crate) fn text(number: u64, bytes: usize) -> Vec<u8> {
    let mut text = stamp(number).to_vec();
    text.resize(bytes.max(STAMP), b'.');
    text
}

/// Finds the stamp in frames of one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finder {
    /// The frame is the text.
    Plain,
    /// The frame is an event of `darda.v1` whose text was here before.
    Event(usize),
}

impl Finder {
    pub(crate) fn new(kind: crate::process::Kind) -> Self {
        match kind {
            crate::process::Kind::Bare => Self::Plain,
            crate::process::Kind::Darda => Self::Event(0),
        }
    }

    /// The stamp of the message in this frame, `None` if it is not a message.
    #[inline]
    pub(crate) fn find(&mut self, frame: &[u8]) -> Option<[u8; STAMP]> {
        match self {
            Self::Plain => frame.first_chunk().copied(),
            Self::Event(at) => {
                if frame.get(*at..*at + TEXT.len()) != Some(TEXT) {
                    *at = search(frame, TEXT)?;
                }
                frame.get(*at + TEXT.len()..)?.first_chunk().copied()
            }
        }
    }
}

/// Where `needle` begins.
pub(crate) fn search(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Where each of many receivers is in one stream of stamped messages, and how far all are.
#[derive(Debug)]
pub(crate) struct Progress {
    next: Vec<u64>,
    /// The stamps of the newest messages, by number modulo the length.
    stamps: Vec<[u8; STAMP]>,
    /// How many receivers expect a number, by number modulo the length.
    waiting: Vec<u32>,
    /// All receivers have every number below this.
    floor: u64,
    sent: u64,
}

impl Progress {
    /// At most `window` numbers are given out ahead of the slowest receiver.
    pub(crate) fn new(receivers: usize, window: usize) -> Result<Self> {
        let length = (window + 2).next_power_of_two();
        let mut waiting = vec![0; length];
        waiting[0] = u32::try_from(receivers)?;
        Ok(Self {
            next: vec![0; receivers],
            stamps: vec![[0; STAMP]; length],
            waiting,
            floor: 0,
            sent: 0,
        })
    }

    /// Messages that not all have received.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sent - self.floor
    }

    /// Messages that all have received.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The number of the next message.
    pub(crate) fn give(&mut self) -> u64 {
        let number = self.sent;
        let at = self.slot(number);
        self.stamps[at] = stamp(number);
        self.sent += 1;
        number
    }

    /// A receiver got a message: it must be the one after its last.
    #[inline]
    pub(crate) fn received(&mut self, receiver: usize, found: [u8; STAMP]) -> Result<()> {
        let next = self.next[receiver];
        if next >= self.sent || self.stamps[self.slot(next)] != found {
            let found = String::from_utf8_lossy(&found).into_owned();
            let next = String::from_utf8_lossy(&stamp(next)).into_owned();
            return Err(format!(
                "receiver {receiver} got message {found} where {next} was next: lost or doubled"
            )
            .into());
        }
        self.next[receiver] = next + 1;
        Ok(())
    }

    /// A receiver that expected `before` now expects what it has come to.
    pub(crate) fn moved(&mut self, receiver: usize, before: u64) {
        let now = self.next[receiver];
        let (from, to) = (self.slot(before), self.slot(now));
        self.waiting[from] -= 1;
        self.waiting[to] += 1;
        while self.floor < self.sent && self.waiting[self.slot(self.floor)] == 0 {
            self.floor += 1;
        }
    }

    /// The number that this receiver expects.
    pub(crate) fn next(&self, receiver: usize) -> u64 {
        self.next[receiver]
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.stamps.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_as_its_number() {
        for number in [0, 1, 9, 10, 255, 4096, 123_456_789, u64::from(u32::MAX)] {
            assert_eq!(unstamp(stamp(number)), Some(number));
        }
    }

    #[test]
    fn a_stamp_is_found_where_the_text_moves_and_where_there_is_none() {
        let mut finder = Finder::Event(0);
        assert_eq!(
            finder.find(br#"{"event":"entry","text":"0000000a.."}"#),
            Some(stamp(10))
        );
        assert_eq!(
            finder.find(br#"{"event":"entry","prev":1,"text":"0000000b.."}"#),
            Some(stamp(11))
        );
        assert_eq!(finder.find(br#"{"event":"heads","heads":[]}"#), None);
        assert_eq!(finder.find(b"{}"), None);
    }

    #[test]
    fn the_floor_is_the_slowest_receiver() {
        let mut progress = Progress::new(2, 4).unwrap();
        let first = stamp(progress.give());
        let second = stamp(progress.give());
        progress.received(0, first).unwrap();
        progress.received(0, second).unwrap();
        progress.moved(0, 0);
        assert_eq!((progress.floor(), progress.in_flight()), (0, 2));
        progress.received(1, first).unwrap();
        progress.moved(1, 0);
        assert_eq!((progress.floor(), progress.in_flight()), (1, 1));
    }

    #[test]
    fn a_lost_a_doubled_and_an_early_message_are_errors() {
        let mut progress = Progress::new(1, 4).unwrap();
        let stamps: Vec<_> = (0..3).map(|_| stamp(progress.give())).collect();
        assert!(progress.received(0, stamps[1]).is_err());
        progress.received(0, stamps[0]).unwrap();
        assert!(progress.received(0, stamps[0]).is_err());
        progress.received(0, stamps[1]).unwrap();
        progress.received(0, stamps[2]).unwrap();
        assert!(progress.received(0, stamp(3)).is_err(), "never sent");
    }
}
