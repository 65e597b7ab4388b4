//! Centrifugo's JSON protocol (version 2 of the client protocol, as servers 4 to 6 speak it): a frame
//! holds one or more lines of JSON. A conversation is a channel.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::super::line::Line;
use super::{Ask, Dialect, Founding, Relayed, Said, answered, put};
use crate::Result;

/// An empty object is a ping, and its answer.
const PING: &str = "{}";
/// Of the command that greets; numbers begin at 1 here.
const GREETING: u64 = 1;

#[derive(Debug)]
pub(super) struct Centrifugo;

/// What is looked at of a line.
#[derive(Debug, Deserialize)]
struct Reply<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
    #[serde(borrow)]
    push: Option<Push<'a>>,
}

#[derive(Debug, Deserialize)]
struct Failure<'a> {
    code: u32,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Push<'a> {
    #[serde(borrow, default)]
    channel: Cow<'a, str>,
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
    /// The server took the session out of the channel.
    unsubscribe: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Publication<'a> {
    #[serde(borrow)]
    data: Relayed<'a>,
}

#[async_trait]
impl Dialect for Centrifugo {
    /// Nobody is named: the server lets anybody in.
    fn address(&self, server: &str, _: &str) -> String {
        format!("{}/connection/websocket", server.trim_end_matches('/'))
    }

    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    async fn greet(&self, line: &mut Line) -> Result<()> {
        let connect = json!({"id": GREETING, "connect": {}}).to_string();
        put(line, connect)?;
        answered(self, line, GREETING..GREETING + 1).await
    }

    /// A channel is there when somebody is in it.
    async fn found(&self, _: &mut Line, founding: &Founding) -> Result<Arc<str>> {
        Ok(founding.name.as_str().into())
    }

    async fn join(&self, line: &mut Line, conversations: &[Arc<str>]) -> Result<()> {
        let first = GREETING + 1;
        let mut next = first;
        for channel in conversations {
            let subscribe = json!({"id": next, "subscribe": {"channel": &**channel}});
            put(line, subscribe.to_string())?;
            next += 1;
        }
        answered(self, line, first..next).await
    }

    fn write(&self, id: u64, ask: &Ask<'_>) -> Result<String> {
        let (channel, data) = Relayed::of(ask);
        let publish = json!({"id": id, "publish": {"channel": channel, "data": data}});
        Ok(publish.to_string())
    }

    fn read<'a>(&self, line: &'a str) -> Result<Said<'a>> {
        if line == PING {
            return Ok(Said::Ping);
        }
        let reply: Reply<'a> = serde_json::from_str(line)?;
        Ok(match reply {
            Reply {
                id: Some(id),
                error: Some(Failure { code, message }),
                ..
            } => Said::Refused(id, format!("{code} {message}").into()),
            Reply { id: Some(id), .. } => Said::Done(id),
            Reply {
                push:
                    Some(Push {
                        channel,
                        publication: Some(Publication { data }),
                        ..
                    }),
                ..
            } => data.said(channel),
            Reply {
                push:
                    Some(Push {
                        unsubscribe: Some(_),
                        ..
                    }),
                ..
            } => Said::Gap,
            Reply { .. } => Said::Other,
        })
    }

    fn pong(&self) -> &'static str {
        PING
    }

    fn echoes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_a_user_says_is_published_in_the_channel() {
        let conversation = &Arc::from("c1");
        let written =
            |ask| -> Value { serde_json::from_str(&Centrifugo.write(9, &ask).unwrap()).unwrap() };
        let send = Ask::Send {
            conversation,
            name: "n",
            text: "hello",
        };
        assert_eq!(
            written(send),
            json!({"id": 9, "publish": {"channel": "c1", "data": {"text": "hello"}}})
        );
        let seen = Ask::Mark {
            conversation,
            position: 4,
            seen: true,
        };
        assert_eq!(
            written(seen),
            json!({"id": 9, "publish": {"channel": "c1", "data": {"seen": 4}}})
        );
        let delivered = Ask::Mark {
            conversation,
            position: 4,
            seen: false,
        };
        assert_eq!(
            written(delivered),
            json!({"id": 9, "publish": {"channel": "c1", "data": {"delivered": 4}}})
        );
        let typing = Ask::Typing {
            conversation,
            active: false,
        };
        assert_eq!(
            written(typing),
            json!({"id": 9, "publish": {"channel": "c1", "data": {"typing": false}}})
        );
    }

    #[test]
    fn lines_of_the_server_are_told_apart() {
        let read = |line| Centrifugo.read(line).unwrap();
        assert_eq!(read("{}"), Said::Ping);
        assert_eq!(read(r#"{"id":3,"publish":{}}"#), Said::Done(3));
        let connected =
            r#"{"id":1,"connect":{"client":"5a","version":"6.9.1","ping":25,"pong":true}}"#;
        assert_eq!(read(connected), Said::Done(1));
        assert_eq!(
            read(r#"{"id":3,"error":{"code":103,"message":"permission denied"}}"#),
            Said::Refused(3, "103 permission denied".into())
        );
        assert_eq!(
            read(
                r#"{"push":{"channel":"c1","pub":{"data":{"text":"hello"},"info":{"client":"5a"}}}}"#
            ),
            Said::Message {
                conversation: "c1".into(),
                position: None,
                text: "hello".into()
            }
        );
        let seen = r#"{"push":{"channel":"c1","pub":{"data":{"seen":4}}}}"#;
        assert_eq!(read(seen), Said::Attention);
        let unsubscribed = r#"{"push":{"channel":"c1","unsubscribe":{"code":2500}}}"#;
        assert_eq!(read(unsubscribed), Said::Gap);
        assert_eq!(
            read(r#"{"push":{"channel":"c1","join":{"info":{"client":"5a"}}}}"#),
            Said::Other
        );
        assert!(Centrifugo.read("nothing").is_err());
    }
}
