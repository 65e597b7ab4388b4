//! WebSocket's framing (RFC 6455, version 13), the server's side.
//!
//! Why our own: a library's codec holds buffers for each connection, and a server mostly holds idle
//! connections. Here frames are read from and written to buffers that all connections of a thread
//! share; a connection keeps bytes only while a frame is on its way. It also lets a text that is not
//! UTF-8 be answered like any other malformed command.

use std::ops::Range;

use crate::wire::MAX_FRAME_BYTES;

/// Of a frame from a client: two bytes, eight of length, four of mask.
pub(crate) const MAX_HEADER_BYTES: usize = 14;
/// What the protocol allows for pings, pongs and closes.
const MAX_CONTROL_BYTES: usize = 125;

/// Why a connection ends, as its close frame says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: u16,
    /// A few words for people.
    pub reason: &'static str,
}

impl Close {
    pub(crate) const NORMAL: Self = Self::new(1000, "");
    pub(crate) const GOING_AWAY: Self = Self::new(1001, "the session ended");
    pub(crate) const PROTOCOL: Self = Self::new(1002, "not the WebSocket protocol");
    pub(crate) const BINARY: Self = Self::new(1003, "frames are text");
    pub(crate) const TOO_BIG: Self = Self::new(1009, "frame too big");
    pub(crate) const RESTART: Self = Self::new(1012, "service restart");
    pub(crate) const TRY_LATER: Self = Self::new(1013, "try again later");
    pub(crate) const MALFORMED: Self = Self::new(4400, "too many malformed frames");
    pub(crate) const UNAUTHENTICATED: Self = Self::new(4401, "unauthenticated");
    pub(crate) const IDLE: Self = Self::new(4408, "nothing heard");
    pub(crate) const FLOODING: Self = Self::new(4429, "flooding");

    /// Every close that the server makes.
    pub const ALL: [Self; 11] = [
        Self::NORMAL,
        Self::GOING_AWAY,
        Self::PROTOCOL,
        Self::BINARY,
        Self::TOO_BIG,
        Self::RESTART,
        Self::TRY_LATER,
        Self::MALFORMED,
        Self::UNAUTHENTICATED,
        Self::IDLE,
        Self::FLOODING,
    ];

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Text,
    Close,
    Ping,
    Pong,
}

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// Not a whole frame yet; so many bytes are missing at least.
    Partial(usize),
    Whole {
        fin: bool,
        opcode: Opcode,
        payload: Range<usize>,
        mask: [u8; 4],
    },
}

/// A message, unmasked, in the buffer that it came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A command. Not yet known to be UTF-8.
    Text(&'a [u8]),
    /// To be answered by a pong that says the same.
    Ping(&'a [u8]),
    Pong,
    /// The peer's goodbye.
    Close,
}

/// What [`Assembly::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// So many more bytes are needed at least.
    Missing(usize),
    /// A part of a message that is not whole yet, of this length.
    Part(usize),
    /// A message, and the length of the frame.
    Message(Incoming<'a>, usize),
}

/// A message that comes in parts. Empty, and without memory, almost always.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    parts: Option<Vec<u8>>,
    whole: Vec<u8>,
}

impl Assembly {
    /// Takes the first frame of `bytes`.
    pub(crate) fn next<'a>(&'a mut self, bytes: &'a mut [u8]) -> Result<Step<'a>, Close> {
        self.whole = Vec::new();
        let (fin, opcode, range, mask) = match parse(bytes)? {
            Parsed::Partial(missing) => return Ok(Step::Missing(missing)),
            Parsed::Whole {
                fin,
                opcode,
                payload,
                mask,
            } => (fin, opcode, payload, mask),
        };
        let end = range.end;
        let payload = &mut bytes[range];
        unmask(payload, mask);
        let incoming = match (opcode, &mut self.parts) {
            (Opcode::Ping, _) => Incoming::Ping(payload),
            (Opcode::Pong, _) => Incoming::Pong,
            (Opcode::Close, _) => {
                // A code of one byte is none.
                if payload.len() == 1 {
                    return Err(Close::PROTOCOL);
                }
                Incoming::Close
            }
            (Opcode::Text, None) if fin => Incoming::Text(payload),
            (Opcode::Text, parts @ None) => {
                *parts = Some(payload.to_vec());
                return Ok(Step::Part(end));
            }
            (Opcode::Continuation, Some(parts)) => {
                if parts.len() + payload.len() > MAX_FRAME_BYTES {
                    return Err(Close::TOO_BIG);
                }
                parts.extend_from_slice(payload);
                if !fin {
                    return Ok(Step::Part(end));
                }
                self.whole = self.parts.take().unwrap_or_default();
                Incoming::Text(&self.whole)
            }
            (Opcode::Text, Some(_)) | (Opcode::Continuation, None) => return Err(Close::PROTOCOL),
        };
        Ok(Step::Message(incoming, end))
    }
}

fn parse(bytes: &[u8]) -> Result<Parsed, Close> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(Parsed::Partial(2 - bytes.len()));
    };
    let fin = first & 0x80 != 0;
    let opcode = match first & 0x7f {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => return Err(Close::BINARY),
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xa => Opcode::Pong,
        // Reserved bits and opcodes: no extension was agreed on.
        _ => return Err(Close::PROTOCOL),
    };
    let masked = second & 0x80 != 0;
    let control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
    let short = usize::from(second & 0x7f);
    if !masked || (control && (!fin || short > MAX_CONTROL_BYTES)) {
        return Err(Close::PROTOCOL);
    }
    let (length, start) = match (short, rest) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 4),
        (126, _) => return Ok(Parsed::Partial(4 - bytes.len())),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
        (127, _) => return Ok(Parsed::Partial(10 - bytes.len())),
        (short, _) => (short as u64, 2),
    };
    // The shortest form is the only one.
    if (start == 4 && length < 126) || (start == 10 && length <= 0xffff) {
        return Err(Close::PROTOCOL);
    }
    let length = match usize::try_from(length) {
        Ok(length) if length <= MAX_FRAME_BYTES => length,
        _ => return Err(Close::TOO_BIG),
    };
    let end = start + 4 + length;
    match bytes.get(start..start + 4) {
        Some(&[a, b, c, d]) if bytes.len() >= end => {
            let mask = [a, b, c, d];
            Ok(Parsed::Whole {
                fin,
                opcode,
                payload: start + 4..end,
                mask,
            })
        }
        _ => Ok(Parsed::Partial(end - bytes.len())),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a text frame.
pub(crate) fn write_text(out: &mut Vec<u8>, payload: &[u8]) {
    write_header(out, 0x81, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a text frame whose payload is written in place: no second buffer.
pub(crate) fn write_text_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    // Room for the longest header; what is too much is taken out below.
    out.extend_from_slice(&[0; 10]);
    write(out);
    let length = out.len() - start - 10;
    let (header, used) = header(0x81, length);
    let unused = 10 - used;
    out[start + unused..start + 10].copy_from_slice(&header[..used]);
    out.drain(start..start + unused);
}

/// Appends a ping.
pub(crate) fn write_ping(out: &mut Vec<u8>) {
    write_header(out, 0x89, 0);
}

/// Appends a pong.
pub(crate) fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    write_header(out, 0x8a, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a close.
pub(crate) fn write_close(out: &mut Vec<u8>, close: Close) {
    write_header(out, 0x88, 2 + close.reason.len());
    out.extend_from_slice(&close.code.to_be_bytes());
    out.extend_from_slice(close.reason.as_bytes());
}

fn write_header(out: &mut Vec<u8>, first: u8, length: usize) {
    let (header, used) = header(first, length);
    out.extend_from_slice(&header[..used]);
}

#[inline]
fn header(first: u8, length: usize) -> ([u8; 10], usize) {
    let mut header = [first, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let used = if let Ok(short) = u8::try_from(length)
        && short <= 125
    {
        header[1] = short;
        2
    } else if let Ok(middle) = u16::try_from(length) {
        header[1] = 126;
        header[2..4].copy_from_slice(&middle.to_be_bytes());
        4
    } else {
        header[1] = 127;
        header[2..].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    (header, used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_header(&mut out, first, payload.len());
        out[1] |= 0x80;
        let mask = [7, 131, 0, 255];
        out.extend_from_slice(&mask);
        let start = out.len();
        out.extend_from_slice(payload);
        unmask(&mut out[start..], mask);
        out
    }

    fn next(bytes: &[u8]) -> Result<Option<String>, Close> {
        let mut bytes = bytes.to_vec();
        match Assembly::default().next(&mut bytes)? {
            Step::Message(Incoming::Text(text), _) => {
                Ok(Some(String::from_utf8_lossy(text).into_owned()))
            }
            _ => Ok(None),
        }
    }

    #[test]
    fn a_text_of_every_length_form_is_read_and_its_every_prefix_is_partial() {
        for length in [0, 1, 125, 126, 200, 65_535, 65_536, MAX_FRAME_BYTES] {
            let text = "x".repeat(length);
            let bytes = client(0x81, text.as_bytes());
            assert_eq!(next(&bytes), Ok(Some(text)));
            for cut in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
                let mut front = bytes[..cut].to_vec();
                match Assembly::default().next(&mut front) {
                    Ok(Step::Missing(missing)) => assert!(missing <= bytes.len() - cut),
                    other => panic!("{cut} of {length}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_the_protocol_forbids_ends_the_connection() {
        let too_big = vec![b'x'; MAX_FRAME_BYTES + 1];
        let mut unmasked = client(0x81, b"x");
        unmasked[1] &= 0x7f;
        let cases: [(&str, Vec<u8>, Close); 10] = [
            ("too big", client(0x81, &too_big), Close::TOO_BIG),
            ("binary", client(0x82, b"x"), Close::BINARY),
            ("unmasked", unmasked, Close::PROTOCOL),
            ("reserved bit", client(0xc1, b"x"), Close::PROTOCOL),
            ("reserved opcode", client(0x83, b"x"), Close::PROTOCOL),
            ("long ping", client(0x89, &[0; 126]), Close::PROTOCOL),
            ("ping in parts", client(0x09, b"x"), Close::PROTOCOL),
            ("a part of nothing", client(0x80, b"x"), Close::PROTOCOL),
            ("half a close code", client(0x88, b"x"), Close::PROTOCOL),
            (
                "long form of a short length",
                vec![0x81, 0xfe, 0, 5, 0, 0, 0, 0],
                Close::PROTOCOL,
            ),
        ];
        for (name, bytes, close) in cases {
            assert_eq!(next(&bytes), Err(close), "{name}");
        }
        let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(next(&huge), Err(Close::TOO_BIG));
    }

    #[test]
    fn parts_make_one_message_with_pings_between_them() {
        let mut assembly = Assembly::default();
        let end = client(0x01, b"hel").len();
        assert_eq!(
            assembly.next(&mut client(0x01, b"hel")),
            Ok(Step::Part(end))
        );
        assert!(matches!(
            assembly.next(&mut client(0x89, b"?")),
            Ok(Step::Message(Incoming::Ping(b"?"), _))
        ));
        assert!(matches!(
            assembly.next(&mut client(0x80, b"lo")),
            Ok(Step::Message(Incoming::Text(b"hello"), _))
        ));
        assert!(matches!(
            assembly.next(&mut client(0x81, b"next")),
            Ok(Step::Message(Incoming::Text(b"next"), _))
        ));
    }

    #[test]
    fn parts_together_are_bounded() {
        let mut assembly = Assembly::default();
        let half = vec![b'x'; MAX_FRAME_BYTES / 2 + 1];
        assert!(assembly.next(&mut client(0x01, &half)).is_ok());
        assert_eq!(assembly.next(&mut client(0x00, &half)), Err(Close::TOO_BIG));
    }

    #[test]
    fn a_text_written_in_place_is_the_same_frame() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let text = "y".repeat(length);
            let (mut copied, mut placed) = (b"before".to_vec(), b"before".to_vec());
            write_text(&mut copied, text.as_bytes());
            write_text_with(&mut placed, |out| out.extend_from_slice(text.as_bytes()));
            assert!(copied == placed, "{length}");
        }
    }

    #[test]
    fn close_codes_are_distinct_and_reasons_fit() {
        let mut codes: Vec<_> = Close::ALL.iter().map(|close| close.code).collect();
        codes.dedup();
        assert_eq!(codes.len(), Close::ALL.len());
        assert!(
            Close::ALL
                .iter()
                .all(|close| close.reason.len() <= MAX_CONTROL_BYTES - 2)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let mut assembly = Assembly::default();
            let mut bytes = bytes;
            let mut at = 0;
            while let Ok(Step::Part(end) | Step::Message(_, end)) = assembly.next(&mut bytes[at..]) {
                at += end;
            }
        }

        #[test]
        fn unmasking_twice_changes_nothing(mut bytes: Vec<u8>, mask: [u8; 4]) {
            let before = bytes.clone();
            unmask(&mut bytes, mask);
            unmask(&mut bytes, mask);
            prop_assert_eq!(bytes, before);
        }
    }
}
