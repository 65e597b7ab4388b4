//! Several live events in one message: each as its length (4 bytes, big-endian) and its bytes.

use bytes::{Buf, BufMut};
use darda_core::Result;
use darda_core::adapter::{decode_live_event, encode_live_event};
use darda_core::ports::{LiveEvent, Publication, Route};

/// A message is begun anew above this size.
const FULL: usize = 256 * 1024;
/// Messages of a batch that still take events: with more routes than that, some are sent twice.
const OPEN: usize = 32;

/// One message with its route.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) route: Route,
    pub(crate) bytes: Vec<u8>,
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
        let bytes = match same_way {
            Some(message) => &mut message.bytes,
            None => {
                packed.push(Packed {
                    route,
                    bytes: Vec::with_capacity(event.len() + 4),
                });
                let Some(last) = packed.last_mut() else {
                    continue;
                };
                &mut last.bytes
            }
        };
        // An event is far below 4 GiB: entries are bounded.
        bytes.put_u32(event.len() as u32);
        bytes.extend_from_slice(&event);
    }
    Ok(packed)
}

/// The events of a message. What cannot be read is dropped and said: live events may be lost.
pub(crate) fn unpack(mut bytes: &[u8], events: &mut Vec<LiveEvent>) {
    while bytes.remaining() >= 4 {
        let length = bytes.get_u32() as usize;
        if length > bytes.len() {
            break;
        }
        let (event, rest) = bytes.split_at(length);
        bytes = rest;
        match decode_live_event(event) {
            Ok(event) => events.push(event),
            Err(error) => tracing::warn!(%error, "a live event cannot be read"),
        }
    }
    if !bytes.is_empty() {
        tracing::warn!(left = bytes.len(), "a message of live events is cut off");
    }
}
