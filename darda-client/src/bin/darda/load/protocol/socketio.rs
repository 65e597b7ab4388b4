//! Socket.IO 4 (version 5 of its protocol, over Engine.IO 4), by WebSocket from the beginning. A
//! conversation is a room. What the server does with `join` and `send` is in tests/peers.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::super::line::Line;
use super::{Ask, Dialect, Founding, Relayed, Said, answered, put};
use crate::Result;

// The first digit is Engine.IO's (4 is a message), the second one Socket.IO's.
const OPEN: &str = "0";
const PING: &str = "2";
const PONG: &str = "3";
const CONNECT: &str = "40";
const EVENT: &str = "42";
const ACK: &str = "43";
const CONNECT_ERROR: &str = "44";

/// Of the command that joins.
const JOINING: u64 = 0;

#[derive(Debug)]
pub(super) struct SocketIo;

/// `["message", room, what was said]`
#[derive(Debug, Deserialize)]
struct Event<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Relayed<'a>,
);

#[async_trait]
impl Dialect for SocketIo {
    fn address(&self, server: &str, user: &str) -> String {
        let server = server.trim_end_matches('/');
        format!("{server}/socket.io/?EIO=4&transport=websocket&id={user}")
    }

    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    async fn greet(&self, line: &mut Line) -> Result<()> {
        line.until(|_, text| Ok(text.starts_with(OPEN).then_some(())))
            .await?;
        put(line, CONNECT.to_owned())?;
        line.until(|_, text| {
            if let Some(why) = text.strip_prefix(CONNECT_ERROR) {
                return Err(format!("the server refused: {why}").into());
            }
            Ok(text.starts_with(CONNECT).then_some(()))
        })
        .await
    }

    /// A room is there when somebody is in it.
    async fn found(&self, _: &mut Line, founding: &Founding) -> Result<Arc<str>> {
        Ok(founding.name.as_str().into())
    }

    async fn join(&self, line: &mut Line, conversations: &[Arc<str>]) -> Result<()> {
        let rooms: Vec<&str> = conversations.iter().map(|it| &**it).collect();
        let arguments = serde_json::to_string(&("join", rooms))?;
        put(line, format!("{EVENT}{JOINING}{arguments}"))?;
        answered(self, line, JOINING..JOINING + 1).await
    }

    fn write(&self, id: u64, ask: &Ask<'_>) -> Result<String> {
        let (room, what) = Relayed::of(ask);
        let arguments = serde_json::to_string(&("send", room, what))?;
        Ok(format!("{EVENT}{id}{arguments}"))
    }

    fn read<'a>(&self, line: &'a str) -> Result<Said<'a>> {
        if let Some(rest) = line.strip_prefix(EVENT) {
            let Event(name, room, what) = serde_json::from_str(rest)?;
            return Ok(if name == "message" {
                what.said(room)
            } else {
                Said::Other
            });
        }
        if let Some(rest) = line.strip_prefix(ACK) {
            let digits = rest.find('[').unwrap_or(rest.len());
            let id = rest[..digits].parse()?;
            let (refusal,): (Option<Cow<'a, str>>,) = match &rest[digits..] {
                "[]" => (None,),
                arguments => serde_json::from_str(arguments)?,
            };
            return Ok(refusal.map_or(Said::Done(id), |why| Said::Refused(id, why)));
        }
        Ok(if line == PING {
            Said::Ping
        } else {
            Said::Other
        })
    }

    fn pong(&self) -> &'static str {
        PONG
    }

    fn echoes(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_says_is_an_event_that_wants_an_ack() {
        let conversation = &Arc::from("c1");
        let written = |ask| SocketIo.write(12, &ask).unwrap();
        let send = Ask::Send {
            conversation,
            name: "n",
            text: "hello",
        };
        assert_eq!(written(send), r#"4212["send","c1",{"text":"hello"}]"#);
        let mark = Ask::Mark {
            conversation,
            position: 4,
            seen: true,
        };
        assert_eq!(written(mark), r#"4212["send","c1",{"seen":4}]"#);
        let typing = Ask::Typing {
            conversation,
            active: true,
        };
        assert_eq!(written(typing), r#"4212["send","c1",{"typing":true}]"#);
    }

    #[test]
    fn packets_of_the_server_are_told_apart() {
        let read = |line| SocketIo.read(line).unwrap();
        assert_eq!(read("2"), Said::Ping);
        assert_eq!(read(r#"0{"sid":"a","upgrades":[]}"#), Said::Other);
        assert_eq!(read(r#"40{"sid":"b"}"#), Said::Other);
        assert_eq!(read("4312[]"), Said::Done(12));
        assert_eq!(
            read(r#"4312["not in it"]"#),
            Said::Refused(12, "not in it".into())
        );
        assert_eq!(
            read(r#"42["message","c1",{"text":"hello"}]"#),
            Said::Message {
                conversation: "c1".into(),
                position: None,
                text: "hello".into()
            }
        );
        assert_eq!(
            read(r#"42["message","c1",{"typing":true}]"#),
            Said::Attention
        );
        assert!(SocketIo.read("43x[]").is_err());
    }
}
