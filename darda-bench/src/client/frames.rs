//! WebSocket frames, as far as a load client needs them: whole text frames, pings and closes come
//! in, masked text frames and pongs go out. Done by hand because the client shares its cores with
//! the server that it measures: what it spends on a frame, the server can't.

use crate::Result;

/// What one step of decoding found at the front of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// A text frame, and how many bytes it took in all.
    Text(&'a [u8], usize),
    /// A ping to be answered.
    Ping(&'a [u8], usize),
    /// A pong, of no interest.
    Pong(usize),
    /// The peer closes, with this code.
    Close(u16),
    /// The frame is not whole yet.
    Partial,
}

/// Decodes the frame at the front of `bytes`.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded<'_>> {
    let [head, length, ..] = *bytes else {
        return Ok(Decoded::Partial);
    };
    let (start, length) = match length {
        0..=125 => (2, usize::from(length)),
        126 => match *bytes {
            [_, _, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(Decoded::Partial),
        },
        127 => match *bytes {
            [_, _, 0, 0, 0, 0, a, b, c, d, ..] => {
                (10, usize::try_from(u32::from_be_bytes([a, b, c, d]))?)
            }
            [_, _, _, _, _, _, _, _, _, _, ..] => return Err("a frame of over 4 GiB".into()),
            _ => return Ok(Decoded::Partial),
        },
        _ => return Err("a masked frame from a server".into()),
    };
    let end = start + length;
    let Some(payload) = bytes.get(start..end) else {
        return Ok(Decoded::Partial);
    };
    match head {
        0x81 => Ok(Decoded::Text(payload, end)),
        0x89 => Ok(Decoded::Ping(payload, end)),
        0x8a => Ok(Decoded::Pong(end)),
        0x88 => Ok(Decoded::Close(match *payload {
            [a, b, ..] => u16::from_be_bytes([a, b]),
            _ => 1005,
        })),
        other => Err(format!("an unexpected frame type {other:#04x}").into()),
    }
}

/// A masked text frame, appended to `out`.
pub(crate) fn text(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, 0x81, payload);
}

/// A masked pong, appended to `out`.
pub(crate) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, 0x8a, payload);
}

/// A server undoes any key at the same cost, so one will do for all.
const KEY: [u8; 4] = [0x9d, 0x3a, 0x51, 0xc7];

fn frame(out: &mut Vec<u8>, head: u8, payload: &[u8]) {
    out.push(head);
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&KEY);
    let start = out.len();
    out.extend_from_slice(payload);
    for chunk in out[start..].chunks_mut(4) {
        for (byte, key) in chunk.iter_mut().zip(KEY) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_server(head: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        frame(&mut masked, head, payload);
        let body = masked.len() - payload.len();
        masked[1] &= 0x7f;
        masked.drain(body - 4..body);
        masked.truncate(body - 4);
        masked.extend_from_slice(payload);
        masked
    }

    #[test]
    fn a_frame_of_every_length_form_is_decoded_and_its_every_prefix_is_partial() {
        for length in [0, 1, 125, 126, 200, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let bytes = from_server(0x81, &payload);
            assert_eq!(
                decode(&bytes).unwrap(),
                Decoded::Text(&payload, bytes.len())
            );
            for cut in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
                assert_eq!(
                    decode(&bytes[..cut]).unwrap(),
                    Decoded::Partial,
                    "{cut} of {length}"
                );
            }
        }
    }

    #[test]
    fn bytes_after_a_frame_are_left_alone() {
        let mut bytes = from_server(0x89, b"beat");
        let end = bytes.len();
        bytes.extend_from_slice(&from_server(0x88, &4408_u16.to_be_bytes()));
        assert_eq!(decode(&bytes).unwrap(), Decoded::Ping(b"beat", end));
        assert_eq!(decode(&bytes[end..]).unwrap(), Decoded::Close(4408));
    }

    #[test]
    fn a_sent_frame_unmasks_to_its_payload() {
        let mut out = Vec::new();
        text(&mut out, b"hello, world");
        assert_eq!(&out[..6], [0x81, 0x80 | 12, KEY[0], KEY[1], KEY[2], KEY[3]]);
        let plain: Vec<u8> = out[6..]
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ KEY[at % 4])
            .collect();
        assert_eq!(plain, b"hello, world");
    }
}
