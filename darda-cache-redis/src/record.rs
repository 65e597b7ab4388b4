//! Entries as Redis holds them: what the script decided, in columns that it can read, and then the
//! bytes of the entry, which it never looks into.

use darda_core::adapter::{decode_entry, encode_entry};
use darda_core::model::{Body, ConversationId, Entry, Epoch, Position};
use darda_core::ports::{Admission, Append};
use darda_core::{Error, ErrorKind, Result};

const ID: usize = 16;
const COLUMN: usize = 16;
/// id (bytes) ‖ position ‖ prev ‖ epoch ‖ incarnation (digits) ‖ kind ‖ moved.
const HEADER: usize = ID + 4 * COLUMN + 2;
/// Lua's numbers are exact up to here.
const MOST: u64 = 1 << 53;

/// What scripts want to know of a body.
pub(crate) fn kind(body: &Body) -> &'static str {
    match body {
        Body::Members { .. } => "c",
        body if body.is_message() => "m",
        _ => "-",
    }
}

/// A number as the columns hold it.
pub(crate) fn digits(number: u64) -> String {
    format!("{number:016}")
}

/// An epoch that scripts can calculate with.
pub(crate) fn checked(epoch: Epoch) -> Result<String> {
    if epoch.0 < MOST {
        Ok(digits(epoch.0))
    } else {
        Err(Error::new(
            ErrorKind::Invalid,
            "an epoch lies beyond every position",
        ))
    }
}

/// An entry that has no position yet.
pub(crate) fn unplaced(append: Append) -> Entry {
    Entry {
        conversation: append.conversation,
        position: Position(0),
        prev: None,
        epoch: Epoch(0),
        id: append.id,
        sender: append.sender,
        client_id: append.client_id,
        body: append.body,
        incarnation: 0,
        relocated: matches!(append.admission, Admission::Relocated { .. }),
    }
}

/// The bytes that the script puts its columns before.
pub(crate) fn encode(entry: &Entry) -> Result<Vec<u8>> {
    encode_entry(entry)
}

/// What the script decided about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    position: Position,
    prev: Option<Position>,
    epoch: Epoch,
    incarnation: u64,
}

impl Place {
    /// Reads the four columns of digits.
    pub(crate) fn parse(columns: &[u8]) -> Option<Self> {
        let column = |at: usize| columns.get(at..at + COLUMN).and_then(number);
        let prev = column(COLUMN)?;
        Some(Self {
            position: Position(column(0)?),
            prev: (prev > 0).then_some(Position(prev)),
            epoch: Epoch(column(2 * COLUMN)?),
            incarnation: column(3 * COLUMN)?,
        })
    }

    pub(crate) fn of(self, entry: Entry) -> Entry {
        Entry {
            position: self.position,
            prev: self.prev,
            epoch: self.epoch,
            incarnation: self.incarnation,
            ..entry
        }
    }
}

/// The entry of a record.
pub(crate) fn decode(record: &[u8]) -> Result<Entry> {
    let broken = || Error::new(ErrorKind::Internal, "the cache holds what is no entry");
    let (header, bytes) = record.split_at_checked(HEADER).ok_or_else(broken)?;
    let columns = header.get(ID..).ok_or_else(broken)?;
    let place = Place::parse(columns).ok_or_else(broken)?;
    let entry = decode_entry(bytes).map_err(|error| broken().with_source(error))?;
    Ok(Entry {
        relocated: header.ends_with(b"r"),
        ..place.of(entry)
    })
}

/// A number in digits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A member of a shard's outbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiting {
    pub(crate) position: Position,
    pub(crate) conversation: ConversationId,
    pub(crate) member: Vec<u8>,
}

impl Waiting {
    /// What conversation ‖ id ‖ position names.
    pub(crate) fn parse(member: Vec<u8>) -> Option<Self> {
        let conversation: [u8; 16] = member.get(..16)?.try_into().ok()?;
        let position = number(member.get(32..)?)?;
        Some(Self {
            position: Position(position),
            conversation: ConversationId::from_bytes(conversation),
            member,
        })
    }
}

#[cfg(test)]
mod tests {
    use darda_core::model::{ClientId, EntryId, UserId};

    use super::*;

    fn entry() -> Entry {
        let conversation = ConversationId::from_bytes([7; 16]);
        let (sender, client_id) = (UserId::new("a").unwrap(), ClientId::new("1").unwrap());
        unplaced(Append {
            conversation,
            id: EntryId::derive(conversation, &sender, &client_id),
            sender,
            client_id,
            body: "text".into(),
            admission: Admission::Relocated { epoch: Epoch(3) },
        })
    }

    fn record(columns: [u64; 4], moved: char) -> Vec<u8> {
        let mut record = vec![9; 16];
        for column in columns {
            record.extend_from_slice(format!("{column:016}").as_bytes());
        }
        record.extend_from_slice(format!("m{moved}").as_bytes());
        record.extend_from_slice(&encode(&entry()).unwrap());
        record
    }

    #[test]
    fn the_columns_count_and_not_what_the_bytes_say() {
        let placed = decode(&record([1_700_000_000_000_000, 5, 3, 4], '-')).unwrap();
        let expected = Entry {
            position: Position(1_700_000_000_000_000),
            prev: Some(Position(5)),
            epoch: Epoch(3),
            incarnation: 4,
            relocated: false,
            ..entry()
        };
        assert_eq!(placed, expected);
        assert_eq!(decode(&record([9, 0, 3, 4], 'r')).unwrap().prev, None);
    }

    #[test]
    fn cut_off_records_are_refused() {
        let record = record([9, 8, 3, 4], '-');
        for end in 0..record.len() {
            let error = decode(&record[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
    }

    #[test]
    fn an_epoch_that_lua_would_round_is_refused() {
        assert!(checked(Epoch(MOST - 1)).is_ok());
        assert!(checked(Epoch(MOST)).is_err());
    }
}
