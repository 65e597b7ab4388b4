//! The fields of commands, as they stand in JSON. A command reads those it needs and ignores the
//! rest.

use std::borrow::Cow;

use darda_core::model::{Position, Role};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::MAX_SAFE_INTEGER;

/// A position in a frame: an integer that every JSON reader keeps.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) Position);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer) {
            Ok(at) if at <= MAX_SAFE_INTEGER => Ok(Self(Position(at))),
            Ok(_) => Err(D::Error::custom(format!(
                "a position is over {MAX_SAFE_INTEGER}"
            ))),
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) reply_to: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) mentions: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    pub(super) metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Sent<'a> {
    #[serde(borrow)]
    pub(super) conversation: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) client_id: Cow<'a, str>,
    #[serde(default)]
    pub(super) resend: Option<bool>,
}

/// A whole send, so that one pass reads it.
#[derive(Deserialize)]
pub(super) struct Send<'a> {
    pub(super) id: u64,
    #[serde(borrow)]
    pub(super) cmd: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) conversation: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) client_id: Cow<'a, str>,
    #[serde(default)]
    pub(super) resend: Option<bool>,
    #[serde(borrow)]
    pub(super) text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) reply_to: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) mentions: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    pub(super) metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub(super) payload: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Target<'a> {
    #[serde(borrow)]
    pub(super) target: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Reaction<'a> {
    #[serde(borrow)]
    pub(super) target: Cow<'a, str>,
    pub(super) reaction: String,
}

#[derive(Deserialize)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) user: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct NamedMany<'a> {
    #[serde(borrow)]
    pub(super) users: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct Title {
    pub(super) title: String,
}

#[derive(Deserialize)]
pub(super) struct Group<'a> {
    #[serde(borrow)]
    pub(super) client_id: Cow<'a, str>,
    pub(super) title: String,
    #[serde(borrow)]
    pub(super) members: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) history: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct RoleOf<'a> {
    #[serde(borrow)]
    pub(super) user: Cow<'a, str>,
    pub(super) role: Role,
}

#[derive(Deserialize)]
pub(super) struct Of<'a> {
    #[serde(borrow)]
    pub(super) conversation: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Attach<'a> {
    #[serde(borrow)]
    pub(super) conversation: Cow<'a, str>,
    #[serde(default)]
    pub(super) cursor: Option<At>,
}

#[derive(Deserialize)]
pub(super) struct Cursor<'a> {
    #[serde(borrow)]
    pub(super) conversation: Cow<'a, str>,
    pub(super) cursor: At,
}

#[derive(Deserialize)]
pub(super) struct Resume<'a> {
    #[serde(borrow)]
    pub(super) cursors: Vec<Cursor<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Paging {
    #[serde(default)]
    pub(super) before: Option<At>,
    #[serde(default)]
    pub(super) after: Option<At>,
    #[serde(default)]
    pub(super) limit: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct MarkAt {
    pub(super) position: At,
}

#[derive(Deserialize)]
pub(super) struct Active {
    pub(super) active: bool,
}
