//! The client's side of `darda.v1`: commands that set a benchmark up, one at a time or many in
//! flight, and what a run needs to know of replies.

use std::time::Instant;

use serde_json::{Value, json};

use crate::client::{Client, PATIENCE, Receive};
use crate::{Result, stamp};

/// Users that one command may name.
const MEMBERS_PER_CHANGE: usize = 100;
/// Entries that one page may have.
const PAGE: usize = 200;

/// Where a user's connection is opened.
pub(crate) fn path(user: &str) -> String {
    format!("/v1/ws?id={user}")
}

/// Takes hellos and events that a set-up has no use for.
pub(crate) fn ignore(_socket: usize, _frame: &[u8]) -> Result<()> {
    Ok(())
}

/// Sends commands on their sockets, at most `in_flight` at once, and returns the `ok` of each in
/// the order of the commands.
pub(crate) fn ask(
    client: &mut Client,
    commands: Vec<(usize, Value)>,
    in_flight: usize,
) -> Result<Vec<Value>> {
    let mut replies = Replies {
        of: vec![None; commands.len()],
        come: 0,
    };
    let mut sent = 0;
    while replies.come < commands.len() {
        let deadline = Instant::now() + PATIENCE;
        while sent < commands.len() && sent - replies.come < in_flight {
            let (socket, ref command) = commands[sent];
            let mut command = command.clone();
            command["id"] = sent.into();
            client.queue(socket, command.to_string().as_bytes())?;
            client.flush(socket)?;
            sent += 1;
        }
        client.turn_until(deadline, &mut replies)?;
    }
    replies
        .of
        .into_iter()
        .map(|reply| reply.ok_or_else(|| "no reply".into()))
        .collect()
}

/// As [`ask`], for one command.
pub(crate) fn ask_one(client: &mut Client, socket: usize, command: Value) -> Result<Value> {
    ask(client, vec![(socket, command)], 1)?
        .pop()
        .ok_or_else(|| "no reply".into())
}

/// Makes a group of the asker and these users, and returns its id.
pub(crate) fn create_group(client: &mut Client, owner: usize, users: &[String]) -> Result<String> {
    let mut changes = users.chunks(MEMBERS_PER_CHANGE);
    let first = changes.next().unwrap_or_default();
    let create =
        json!({"cmd": "create_group", "client_id": "create", "title": "bench", "members": first});
    let reply = ask_one(client, owner, create)?;
    let conversation = id_of(&reply)?;
    for (number, users) in changes.enumerate() {
        let client_id = format!("add {number}");
        let add = json!({"cmd": "add", "conversation": conversation, "client_id": client_id,
            "users": users});
        ask_one(client, owner, add)?;
    }
    Ok(conversation)
}

/// The numbers of all messages in a log, from its beginning. Changes of members are passed over.
pub(crate) fn history(client: &mut Client, socket: usize, conversation: &str) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut after = 0;
    loop {
        let command = json!({"cmd": "history", "conversation": conversation, "after": after,
            "limit": PAGE});
        let page = ask_one(client, socket, command)?;
        for entry in page["entries"].as_array().into_iter().flatten() {
            after = entry["position"].as_u64().ok_or("no position")?;
            if entry["type"] == "members" {
                continue;
            }
            let text = entry["text"].as_str().unwrap_or_default().as_bytes();
            let number = text
                .first_chunk()
                .and_then(|digits| stamp::unstamp(*digits));
            numbers.push(number.ok_or("an entry that was not sent")?);
        }
        if page["more"] != true {
            return Ok(numbers);
        }
    }
}

/// The conversation that a reply names.
pub(crate) fn id_of(reply: &Value) -> Result<String> {
    let id = reply["conversation"]
        .as_str()
        .ok_or("a reply without a conversation")?;
    Ok(id.to_owned())
}

/// A send, written by hand: the client makes hundreds of thousands of them a second.
pub(crate) fn send_command(out: &mut Vec<u8>, conversation: &str, number: u64, text: &[u8]) {
    out.clear();
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b",\"cmd\":\"send\",\"conversation\":\"");
    out.extend_from_slice(conversation.as_bytes());
    out.extend_from_slice(b"\",\"client_id\":\"");
    out.extend_from_slice(&stamp::stamp(number));
    out.extend_from_slice(b"\",\"text\":\"");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\"}");
}

/// Of which command a frame is the `ok` reply; `None` if it is an event.
pub(crate) fn acked(frame: &[u8]) -> Result<Option<u64>> {
    let Some(rest) = frame.strip_prefix(b"{\"id\":") else {
        return Ok(None);
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let id = std::str::from_utf8(&rest[..digits])?.parse();
    match id {
        Ok(id) if rest[digits..].starts_with(b",\"ok\":") => Ok(Some(id)),
        _ => Err(format!(
            "an error from the server: {}",
            String::from_utf8_lossy(frame)
        )
        .into()),
    }
}

#[derive(Debug)]
struct Replies {
    of: Vec<Option<Value>>,
    come: usize,
}

impl Receive for Replies {
    fn frame(&mut self, _socket: usize, payload: &[u8]) -> Result<()> {
        let Some(id) = acked(payload)? else {
            return Ok(());
        };
        let mut reply: Value = serde_json::from_slice(payload)?;
        let place = self
            .of
            .get_mut(usize::try_from(id)?)
            .ok_or("a reply to nothing")?;
        if place.replace(reply["ok"].take()).is_some() {
            return Err("two replies to one command".into());
        }
        self.come += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ok_is_told_from_an_event_and_an_error() {
        assert_eq!(acked(br#"{"id":17,"ok":{}}"#).unwrap(), Some(17));
        assert_eq!(acked(br#"{"event":"entry","id":17}"#).unwrap(), None);
        assert!(acked(br#"{"id":17,"error":{"code":"busy"}}"#).is_err());
        assert!(acked(br#"{"id":null,"error":{"code":"malformed"}}"#).is_err());
    }

    #[test]
    fn a_send_is_the_json_that_the_protocol_asks_for() {
        let mut out = Vec::new();
        send_command(&mut out, "c", 10, b"0000000a..");
        let value: Value = serde_json::from_slice(&out).unwrap();
        let expected = json!({"id": 10, "cmd": "send", "conversation": "c",
            "client_id": "0000000a", "text": "0000000a.."});
        assert_eq!(value, expected);
    }
}
