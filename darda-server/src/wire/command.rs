//! Commands, from text. Two passes: the first reads `id` and `cmd` and proves that the text is JSON,
//! the second reads the command's own fields, borrowing what it can.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use darda_core::model::{
    Body, ClientId, ConversationId, HistoryStart, MemberChange, Message, Position, UserId, limits,
};
use darda_core::ports::Range;
use darda_core::{Mark, SendRequest};
use serde::Deserialize;

use super::MAX_SAFE_INTEGER;
use super::fields::{
    Active, Attach, Content, Group, MarkAt, Named, NamedMany, Of, Paging, Payload, Reaction,
    Resume, RoleOf, Send, Sent, Target, Title,
};
use super::value::{
    client_id, conversation, entry, invalid, object, page_limit, range, user, users, within,
};
use crate::error::{Code, Failure};

/// A command with the id that its reply carries.
#[derive(Debug, Clone)]
pub struct Request {
    /// Chosen by the client.
    pub id: u64,
    /// What to do.
    pub command: Command,
}

/// What a client can ask for. The fields are checked as far as they can be without the engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are those of the session's methods")]
pub enum Command {
    /// `send`, `send_opaque`, `edit`, `delete`, `react`, `unreact`.
    Append(SendRequest),
    /// `open_direct`.
    OpenDirect { user: UserId },
    /// `create_group`.
    CreateGroup {
        client_id: ClientId,
        title: String,
        members: Vec<UserId>,
        history: HistoryStart,
    },
    /// `rename`, `add`, `remove`, `leave`, `set_role`.
    ChangeMembers {
        conversation: ConversationId,
        client_id: ClientId,
        change: MemberChange,
    },
    /// `attach`.
    Attach {
        conversation: ConversationId,
        cursor: Option<Position>,
    },
    /// `resume`.
    Resume {
        cursors: Vec<(ConversationId, Position)>,
    },
    /// `history`.
    History {
        conversation: ConversationId,
        range: Range,
        limit: usize,
    },
    /// `conversations`.
    Conversations {
        before: Option<Position>,
        limit: usize,
    },
    /// `members`.
    Members { conversation: ConversationId },
    /// `receipts`.
    Receipts { conversation: ConversationId },
    /// `delivered`, `seen`.
    Mark {
        conversation: ConversationId,
        mark: Mark,
    },
    /// `typing`.
    Typing {
        conversation: ConversationId,
        active: bool,
    },
    /// `presence`.
    Presence { conversation: ConversationId },
    /// `block`.
    Block { user: UserId },
    /// `unblock`.
    Unblock { user: UserId },
    /// `blocks`.
    Blocks,
    /// `ping`.
    Ping,
}

/// Why a text is not a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The id, where it could be read.
    pub id: Option<u64>,
    /// What to answer.
    pub failure: Failure,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure.message)
    }
}

impl std::error::Error for DecodeError {}

#[derive(Deserialize)]
struct Head<'a> {
    id: u64,
    #[serde(borrow)]
    cmd: Cow<'a, str>,
}

#[derive(Deserialize)]
struct IdOnly {
    id: u64,
}

/// Reads one frame.
///
/// # Errors
/// `malformed` if it is no JSON object with `id` and `cmd`; `unknown_command`; `invalid` or
/// `too_large` if a field is missing or cannot be so.
pub fn decode(text: &str) -> Result<Request, DecodeError> {
    // Most commands are sends.
    if text.contains(r#""send""#)
        && let Ok(it) = serde_json::from_str::<Send<'_>>(text)
        && it.cmd == "send"
        && safe(it.id)
    {
        let id = it.id;
        return match send(it) {
            Ok(command) => Ok(Request { id, command }),
            Err(failure) => Err(DecodeError {
                id: Some(id),
                failure,
            }),
        };
    }
    let head = serde_json::from_str::<Head<'_>>(text).map_err(|error| DecodeError {
        id: serde_json::from_str::<IdOnly>(text)
            .ok()
            .map(|it| it.id)
            .filter(|id| safe(*id)),
        failure: Failure::new(
            Code::Malformed,
            format!("not a command: {}", sentence(&error)),
        ),
    })?;
    if !safe(head.id) {
        let message = format!("not a command: `id` is over {MAX_SAFE_INTEGER}");
        return Err(DecodeError {
            id: None,
            failure: Failure::new(Code::Malformed, message),
        });
    }
    match command(&head.cmd, text) {
        Ok(command) => Ok(Request {
            id: head.id,
            command,
        }),
        Err(failure) => Err(DecodeError {
            id: Some(head.id),
            failure,
        }),
    }
}

fn safe(id: u64) -> bool {
    id <= MAX_SAFE_INTEGER
}

/// What serde_json says, without the place in the text.
pub(crate) fn sentence(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.rfind(" at line ") {
        text.truncate(end);
    }
    // A message may quote the client's own text.
    if text.len() > 200 {
        let end = (0..=200)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}

fn fields<'a, T: Deserialize<'a>>(cmd: &str, text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| invalid(format!("{cmd}: {}", sentence(&error))))
}

fn command(cmd: &str, text: &str) -> Result<Command, Failure> {
    Ok(match cmd {
        "send" => send(fields(cmd, text)?)?,
        "send_opaque" => {
            let it: Payload<'_> = fields(cmd, text)?;
            let payload = STANDARD
                .decode(it.payload.as_bytes())
                .map_err(|_| invalid("payload: must be base64"))?;
            append(fields(cmd, text)?, Body::Opaque(payload.into()))?
        }
        "edit" => {
            let it: Target<'_> = fields(cmd, text)?;
            let mut message = message(fields(cmd, text)?)?;
            message.reply_to = None;
            append(
                fields(cmd, text)?,
                Body::Edit {
                    target: entry("target", &it.target)?,
                    message,
                },
            )?
        }
        "delete" => {
            let it: Target<'_> = fields(cmd, text)?;
            append(
                fields(cmd, text)?,
                Body::Delete {
                    target: entry("target", &it.target)?,
                },
            )?
        }
        "react" | "unreact" => {
            let it: Reaction<'_> = fields(cmd, text)?;
            let (target, reaction) = (entry("target", &it.target)?, it.reaction);
            let body = match cmd {
                "react" => Body::React { target, reaction },
                _ => Body::Unreact { target, reaction },
            };
            append(fields(cmd, text)?, body)?
        }
        "open_direct" => Command::OpenDirect {
            user: named(cmd, text)?,
        },
        "create_group" => {
            let it: Group<'_> = fields(cmd, text)?;
            Command::CreateGroup {
                client_id: client_id(&it.client_id)?,
                title: it.title,
                members: users("members", &it.members, limits::MAX_MEMBERS_PER_CHANGE)?,
                history: match it.history.as_deref() {
                    None | Some("beginning") => HistoryStart::Beginning,
                    Some("joining") => HistoryStart::Joining,
                    Some(_) => return Err(invalid("history: must be `beginning` or `joining`")),
                },
            }
        }
        "rename" => {
            let it: Title = fields(cmd, text)?;
            change(cmd, text, MemberChange::Rename { title: it.title })?
        }
        "add" => {
            let it: NamedMany<'_> = fields(cmd, text)?;
            let users = users("users", &it.users, limits::MAX_MEMBERS_PER_CHANGE)?;
            change(cmd, text, MemberChange::Add { users })?
        }
        "remove" => {
            let user = named(cmd, text)?;
            change(cmd, text, MemberChange::Remove { user })?
        }
        "leave" => change(cmd, text, MemberChange::Leave)?,
        "set_role" => {
            let it: RoleOf<'_> = fields(cmd, text)?;
            let user = user("user", &it.user)?;
            change(
                cmd,
                text,
                MemberChange::Role {
                    user,
                    role: it.role,
                },
            )?
        }
        "attach" => {
            let it: Attach<'_> = fields(cmd, text)?;
            Command::Attach {
                conversation: conversation(&it.conversation)?,
                cursor: it.cursor.map(|at| at.0),
            }
        }
        "resume" => {
            let it: Resume<'_> = fields(cmd, text)?;
            within("cursors", it.cursors.len(), limits::MAX_RESUME)?;
            let cursors = it.cursors.iter();
            Command::Resume {
                cursors: cursors
                    .map(|it| Ok((conversation(&it.conversation)?, it.cursor.0)))
                    .collect::<Result<_, Failure>>()?,
            }
        }
        "history" => {
            let paging: Paging = fields(cmd, text)?;
            let limit = page_limit(paging.limit, limits::DEFAULT_PAGE, limits::MAX_PAGE)?;
            let range = range(paging.before.map(|at| at.0), paging.after.map(|at| at.0))?;
            Command::History {
                conversation: of(cmd, text)?,
                range,
                limit,
            }
        }
        "conversations" => {
            let paging: Paging = fields(cmd, text)?;
            let limit = page_limit(paging.limit, limits::DEFAULT_PAGE, limits::MAX_LIST_PAGE)?;
            Command::Conversations {
                before: paging.before.map(|at| at.0),
                limit,
            }
        }
        "members" => Command::Members {
            conversation: of(cmd, text)?,
        },
        "receipts" => Command::Receipts {
            conversation: of(cmd, text)?,
        },
        "delivered" | "seen" => {
            let it: MarkAt = fields(cmd, text)?;
            let mark = match cmd {
                "seen" => Mark::Seen(it.position.0),
                _ => Mark::Delivered(it.position.0),
            };
            Command::Mark {
                conversation: of(cmd, text)?,
                mark,
            }
        }
        "typing" => {
            let it: Active = fields(cmd, text)?;
            Command::Typing {
                conversation: of(cmd, text)?,
                active: it.active,
            }
        }
        "presence" => Command::Presence {
            conversation: of(cmd, text)?,
        },
        "block" => Command::Block {
            user: named(cmd, text)?,
        },
        "unblock" => Command::Unblock {
            user: named(cmd, text)?,
        },
        "blocks" => Command::Blocks,
        "ping" => Command::Ping,
        _ => {
            return Err(Failure::new(
                Code::UnknownCommand,
                "there is no such command",
            ));
        }
    })
}

fn send(it: Send<'_>) -> Result<Command, Failure> {
    let head = Sent {
        conversation: it.conversation,
        client_id: it.client_id,
        resend: it.resend,
    };
    let content = Content {
        text: it.text,
        reply_to: it.reply_to,
        mentions: it.mentions,
        metadata: it.metadata,
    };
    append(head, Body::Message(message(content)?))
}

fn append(sent: Sent<'_>, body: Body) -> Result<Command, Failure> {
    let request = SendRequest::new(
        conversation(&sent.conversation)?,
        client_id(&sent.client_id)?,
        body,
    )
    .with_resend(sent.resend.unwrap_or(false));
    Ok(Command::Append(request))
}

fn change(cmd: &str, text: &str, change: MemberChange) -> Result<Command, Failure> {
    let it: Sent<'_> = fields(cmd, text)?;
    Ok(Command::ChangeMembers {
        conversation: conversation(&it.conversation)?,
        client_id: client_id(&it.client_id)?,
        change,
    })
}

fn message(content: Content<'_>) -> Result<Message, Failure> {
    let mut message = Message::text(content.text);
    if let Some(target) = content.reply_to {
        message = message.with_reply_to(entry("reply_to", &target)?);
    }
    if let Some(mentions) = content.mentions {
        message = message.with_mentions(users("mentions", &mentions, limits::MAX_MENTIONS)?);
    }
    if let Some(metadata) = content.metadata {
        message = message.with_metadata(object(metadata)?);
    }
    Ok(message)
}

fn of(cmd: &str, text: &str) -> Result<ConversationId, Failure> {
    let it: Of<'_> = fields(cmd, text)?;
    conversation(&it.conversation)
}

fn named(cmd: &str, text: &str) -> Result<UserId, Failure> {
    let it: Named<'_> = fields(cmd, text)?;
    user("user", &it.user)
}
