//! How entries and live events travel through real back ends: MessagePack with named fields, so that
//! a node may add a field while others of an older version still run.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Entry, SessionId};
use crate::ports::{Audience, Event, EventBody, LiveEvent};

/// The bytes of an entry.
///
/// # Errors
/// `Internal`; no entry that the engine makes has been seen to cause one.
pub fn encode_entry(entry: &Entry) -> Result<Vec<u8>> {
    encode(entry)
}

/// The entry that these bytes are.
///
/// # Errors
/// `Invalid` if they are none.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry> {
    decode(bytes)
}

#[derive(Serialize)]
struct Outgoing<'a> {
    audience: &'a Audience,
    origin: &'a Option<SessionId>,
    body: &'a EventBody,
    encoded: Option<&'a Bytes>,
}

#[derive(Deserialize)]
struct Incoming {
    audience: Audience,
    origin: Option<SessionId>,
    body: EventBody,
    encoded: Option<Bytes>,
}

/// The bytes of a live event, with the event's own encoding where it has one.
///
/// # Errors
/// `Internal`; no event that the engine makes has been seen to cause one.
pub fn encode_live_event(event: &LiveEvent) -> Result<Vec<u8>> {
    encode(&Outgoing {
        audience: &event.audience,
        origin: &event.origin,
        body: event.event.body(),
        encoded: event.event.encoding(),
    })
}

/// The live event that these bytes are.
///
/// # Errors
/// `Invalid` if they are none.
pub fn decode_live_event(bytes: &[u8]) -> Result<LiveEvent> {
    let incoming: Incoming = decode(bytes)?;
    Ok(LiveEvent {
        audience: incoming.audience,
        origin: incoming.origin,
        event: match incoming.encoded {
            Some(encoded) => Event::with_encoding(incoming.body, encoded),
            None => Event::new(incoming.body),
        },
    })
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a value could not be encoded").with_source(error)
    })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::Invalid, "bytes that are no such value").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{
        Body, ClientId, ConversationId, EntryId, Epoch, Message, Position, SessionId, UserId,
    };

    fn entry(body: Body, prev: Option<u64>) -> Entry {
        let conversation = ConversationId::from_bytes([7; 16]);
        let sender = UserId::new("alice").unwrap();
        let client_id = ClientId::new("1").unwrap();
        Entry {
            conversation,
            position: Position(1_700_000_000_000_000),
            prev: prev.map(Position),
            epoch: Epoch(3),
            id: EntryId::derive(conversation, &sender, &client_id),
            sender,
            client_id,
            body,
            incarnation: u64::MAX,
            relocated: true,
        }
    }

    fn body() -> impl Strategy<Value = Body> {
        let target = EntryId::from_bytes([9; 16]);
        prop_oneof![
            (".{0,200}", proptest::option::of(".{0,50}")).prop_map(move |(text, metadata)| {
                Body::Message(Message {
                    text,
                    reply_to: Some(target),
                    mentions: vec![UserId::new("bob").unwrap()],
                    metadata,
                })
            }),
            ".{1,20}".prop_map(move |reaction| Body::React { target, reaction }),
            proptest::collection::vec(any::<u8>(), 1..200)
                .prop_map(|payload| Body::Opaque(payload.into())),
            Just(Body::Delete { target }),
        ]
    }

    proptest! {
        #[test]
        fn every_entry_reads_back_as_it_was(body in body(), prev: Option<u64>) {
            let entry = entry(body, prev);
            prop_assert_eq!(decode_entry(&encode_entry(&entry).unwrap()).unwrap(), entry);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = decode_entry(&bytes);
            let _ = decode_live_event(&bytes);
        }
    }

    #[test]
    fn a_live_event_carries_its_encoding() {
        let body = EventBody::Entry(Arc::new(entry("text".into(), None)));
        for encoded in [None, Some(Bytes::from_static(b"{}"))] {
            let event = LiveEvent {
                audience: Audience::Users(vec![UserId::new("bob").unwrap()]),
                origin: None::<SessionId>,
                event: match &encoded {
                    Some(encoded) => Event::with_encoding(body.clone(), encoded.clone()),
                    None => Event::new(body.clone()),
                },
            };
            let back = decode_live_event(&encode_live_event(&event).unwrap()).unwrap();
            assert_eq!(back, event);
            assert_eq!(back.event.encoding(), encoded.as_ref());
        }
    }

    #[test]
    fn an_unknown_field_is_ignored() {
        #[derive(Serialize)]
        struct Newer {
            #[serde(flatten)]
            entry: Entry,
            later: u8,
        }
        let entry = entry("text".into(), Some(1));
        let newer = Newer {
            entry: entry.clone(),
            later: 1,
        };
        assert_eq!(decode_entry(&encode(&newer).unwrap()).unwrap(), entry);
    }

    #[test]
    fn cut_off_bytes_are_refused() {
        let bytes = encode_entry(&entry("text".into(), None)).unwrap();
        for end in 0..bytes.len() {
            let error = decode_entry(&bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}
