//! `darda.v1`: docs/protocol.md.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use darda_client::wire::{Command, HistoryStart, Refusal, SUBPROTOCOL};
use darda_client::{Append, ClientId, ConversationId, Message, Position, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::line::Line;
use super::{Ask, Dialect, Founding, Said, answered, put};
use crate::{Result, address};

/// Users of one command that makes or enlarges a group; the server's limit.
const USERS: usize = 100;

#[derive(Debug)]
pub(super) struct Darda;

/// What is looked at of a frame.
#[derive(Debug, Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    conversation: Option<Cow<'a, str>>,
    position: Option<u64>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    id: Option<u64>,
    ok: Option<IgnoredAny>,
    error: Option<Refusal>,
}

/// The answer to what makes a conversation.
#[derive(Debug, Deserialize)]
struct Founded {
    id: Option<u64>,
    ok: Option<Named>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Named {
    conversation: Option<Arc<str>>,
}

#[async_trait]
impl Dialect for Darda {
    fn address(&self, server: &str, user: &str) -> String {
        address(server, user)
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some(SUBPROTOCOL)
    }

    async fn greet(&self, line: &mut Line) -> Result<()> {
        line.until(|_, text| {
            let frame: Frame<'_> = serde_json::from_str(text)?;
            Ok((frame.event.as_deref() == Some("hello")).then_some(()))
        })
        .await
    }

    async fn found(&self, line: &mut Line, founding: &Founding) -> Result<Arc<str>> {
        let others: Vec<_> = founding
            .others
            .iter()
            .map(|it| UserId::new(it.as_str()))
            .collect();
        if let [other] = &others[..] {
            let user = other.clone();
            return make(line, &Command::OpenDirect { user }).await;
        }
        let mut parts = others.chunks(USERS);
        let create = Command::CreateGroup {
            client_id: ClientId::draw(),
            title: founding.name.clone(),
            members: parts.next().unwrap_or_default().to_vec(),
            history: HistoryStart::Beginning,
            resend: false,
        };
        let conversation = make(line, &create).await?;
        for (id, users) in (1..).zip(parts) {
            let add = Command::Append {
                conversation: ConversationId::new(conversation.clone()),
                client_id: ClientId::draw(),
                append: Append::Add {
                    users: users.to_vec(),
                },
                resend: false,
            };
            put(line, add.frame(id)?)?;
            answered(self, line, id..id + 1).await?;
        }
        Ok(conversation)
    }

    /// The server knows who is in what.
    async fn join(&self, _: &mut Line, _: &[Arc<str>]) -> Result<()> {
        Ok(())
    }

    fn write(&self, id: u64, ask: &Ask<'_>) -> Result<String> {
        let named = |it: &Arc<str>| ConversationId::new(it.clone());
        let command = match *ask {
            Ask::Send {
                conversation,
                name,
                text,
            } => Command::Append {
                conversation: named(conversation),
                client_id: ClientId::new(name),
                append: Append::Send(Message::new(text)),
                resend: false,
            },
            Ask::Mark {
                conversation,
                position,
                seen: false,
            } => Command::Delivered {
                conversation: named(conversation),
                position: Position(position),
            },
            Ask::Mark {
                conversation,
                position,
                seen: true,
            } => Command::Seen {
                conversation: named(conversation),
                position: Position(position),
            },
            Ask::Typing {
                conversation,
                active,
            } => Command::Typing {
                conversation: named(conversation),
                active,
            },
        };
        Ok(command.frame(id)?)
    }

    fn read<'a>(&self, line: &'a str) -> Result<Said<'a>> {
        let frame: Frame<'a> = serde_json::from_str(line)?;
        if let Some(id) = frame.id {
            return Ok(match (frame.ok, frame.error) {
                (Some(_), _) => Said::Done(id),
                (None, Some(error)) => Said::Refused(id, error.code.into()),
                (None, None) => Said::Other,
            });
        }
        Ok(match (frame.event.as_deref(), frame.text) {
            (Some("entry"), Some(text)) => Said::Message {
                conversation: frame.conversation.unwrap_or_default(),
                position: frame.position,
                text,
            },
            (Some("receipts" | "typing"), _) => Said::Attention,
            (Some("gap"), _) => Said::Gap,
            _ => Said::Other,
        })
    }

    /// The socket answers pings.
    fn pong(&self) -> &'static str {
        ""
    }

    fn echoes(&self) -> bool {
        false
    }
}

/// Asks for what makes a conversation.
async fn make(line: &mut Line, command: &Command) -> Result<Arc<str>> {
    put(line, command.frame(0)?)?;
    line.until(|_, text| {
        let answer: Founded = serde_json::from_str(text)?;
        match (answer.id, answer.ok, answer.error) {
            (Some(0), Some(named), _) => Ok(Some(named.conversation.ok_or("no conversation")?)),
            (Some(0), _, error) => {
                let why = error.map(|error| error.message).unwrap_or_default();
                Err(format!("the server makes no conversation: {why}").into())
            }
            _ => Ok(None),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(ask: Ask<'_>) -> Value {
        serde_json::from_str(&Darda.write(7, &ask).unwrap()).unwrap()
    }

    #[test]
    fn what_a_user_says_is_a_command_of_the_protocol() {
        let conversation = &Arc::from("bYTbgWwmaogeD56llN3YTg");
        let send = Ask::Send {
            conversation,
            name: "d1-1",
            text: "hello",
        };
        assert_eq!(
            written(send),
            json!({"id": 7, "cmd": "send", "conversation": "bYTbgWwmaogeD56llN3YTg",
                "client_id": "d1-1", "text": "hello"})
        );
        for (seen, cmd) in [(false, "delivered"), (true, "seen")] {
            let mark = Ask::Mark {
                conversation,
                position: 12,
                seen,
            };
            assert_eq!(
                written(mark),
                json!({"id": 7, "cmd": cmd, "conversation": "bYTbgWwmaogeD56llN3YTg",
                    "position": 12})
            );
        }
        let typing = Ask::Typing {
            conversation,
            active: true,
        };
        assert_eq!(
            written(typing),
            json!({"id": 7, "cmd": "typing", "conversation": "bYTbgWwmaogeD56llN3YTg",
                "active": true})
        );
    }

    #[test]
    fn frames_of_the_server_are_told_apart() {
        let read = |line| Darda.read(line).unwrap();
        assert_eq!(read(r#"{"id":7,"ok":{"text":"no"}}"#), Said::Done(7));
        assert_eq!(
            read(r#"{"id":7,"error":{"code":"busy","message":"full","retry_after_ms":1000}}"#),
            Said::Refused(7, "busy".into())
        );
        assert_eq!(
            read(
                r#"{"event":"entry","conversation":"c","position":5,"prev":null,"epoch":0,"entry":"e","sender":"a","client_id":"d","type":"message","text":"h\"i"}"#
            ),
            Said::Message {
                conversation: "c".into(),
                position: Some(5),
                text: "h\"i".into()
            }
        );
        let receipts = r#"{"event":"receipts","conversation":"c","receipts":[]}"#;
        assert_eq!(read(receipts), Said::Attention);
        let typing = r#"{"event":"typing","conversation":"c","user":"b","active":true}"#;
        assert_eq!(read(typing), Said::Attention);
        assert_eq!(read(r#"{"event":"gap","all":true}"#), Said::Gap);
        let members = r#"{"event":"entry","conversation":"c","position":5,"type":"members"}"#;
        assert_eq!(read(members), Said::Other);
        assert!(Darda.read("{").is_err());
    }
}
