//! The frames that a server sends, as a proxy sees them go by: after the head of the upgrade, unmasked
//! and without extensions.

use serde_json::Value;

use crate::scenario::What;

/// Cuts what the server sends into the head of its answer and its frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    upgraded: bool,
    bytes: Vec<u8>,
}

/// A piece that is passed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Where a frame's text begins in it; `None`: it is no text.
    text: Option<usize>,
}

impl Frames {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole piece.
    pub(crate) fn next(&mut self) -> Option<Piece> {
        let (length, text) = if self.upgraded {
            self.frame()?
        } else {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
            self.upgraded = true;
            (end + 4, None)
        };
        if self.bytes.len() < length {
            return None;
        }
        let bytes = self.bytes.drain(..length).collect();
        Some(Piece { bytes, text })
    }

    /// How long the first frame is, and where its text begins.
    fn frame(&self) -> Option<(usize, Option<usize>)> {
        let (&first, &second) = (self.bytes.first()?, self.bytes.get(1)?);
        let (head, length) = match second & 0x7f {
            126 => {
                let length = self.bytes.get(2..4)?.try_into().ok()?;
                (4, u64::from(u16::from_be_bytes(length)))
            }
            127 => (
                10,
                u64::from_be_bytes(self.bytes.get(2..10)?.try_into().ok()?),
            ),
            length => (2, u64::from(length)),
        };
        let text = (first & 0x0f == 1).then_some(head);
        Some((head + usize::try_from(length).ok()?, text))
    }
}

impl Piece {
    /// Whether it is a frame of this kind.
    pub(crate) fn is(&self, what: What) -> bool {
        let Some(text) = self.text else {
            return false;
        };
        let Ok(frame) = serde_json::from_slice::<Value>(&self.bytes[text..]) else {
            return false;
        };
        match what {
            What::Entry => frame["event"] == "entry",
            What::Reply => frame["id"].is_u64(),
            What::Ack => frame["ok"]["entry"].is_string() && frame["ok"]["position"].is_u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match text.len() {
            length @ ..126 => bytes.push(u8::try_from(length).unwrap()),
            length => {
                bytes.push(126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn pieces_are_found_however_they_come() {
        let ack = r#"{"id":1,"ok":{"entry":"e","position":5,"prev":null,"repeat":false}}"#;
        let entry = format!(r#"{{"event":"entry","text":"{}"}}"#, "x".repeat(200));
        let head = b"HTTP/1.1 101 Switching Protocols\r\na: b\r\n\r\n".to_vec();
        let all = [head.clone(), frame(ack), frame(&entry), vec![0x89, 0]].concat();
        for size in [1, 7, all.len()] {
            let mut frames = Frames::default();
            let mut pieces = Vec::new();
            for chunk in all.chunks(size) {
                frames.push(chunk);
                pieces.extend(std::iter::from_fn(|| frames.next()));
            }
            let bytes: Vec<_> = pieces.iter().map(|piece| piece.bytes.clone()).collect();
            assert_eq!(
                bytes,
                [head.clone(), frame(ack), frame(&entry), vec![0x89, 0]]
            );
            let is = |what| {
                pieces
                    .iter()
                    .map(|piece| piece.is(what))
                    .collect::<Vec<_>>()
            };
            assert_eq!(is(What::Ack), [false, true, false, false]);
            assert_eq!(is(What::Entry), [false, false, true, false]);
            assert_eq!(is(What::Reply), [false, true, false, false]);
        }
    }
}
