//! How the model's types stand in JSON. The views borrow: nothing is copied before it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use darda_core::model::{
    Body, ConversationId, ConversationKind, Entry, EntryId, HistoryStart, MemberChange, Message,
    Position, Role, UserId,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::text::{shown, shown_option};

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct EntryView<'a> {
    /// The conversation.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = String)]
    pub conversation: ConversationId,
    /// Where it stands.
    #[schema(value_type = u64)]
    pub position: Position,
    /// The position before it; `null` where that is not known.
    #[schema(value_type = Option<u64>)]
    pub prev: Option<Position>,
    /// The membership under which it was appended.
    pub epoch: u64,
    /// Its id.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = String)]
    pub entry: EntryId,
    /// Who sent it.
    pub sender: &'a str,
    /// What the sender's device calls it.
    pub client_id: &'a str,
    /// What it says.
    #[serde(flatten)]
    pub body: BodyView<'a>,
}

/// What an entry says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = Body)]
pub enum BodyView<'a> {
    /// A message.
    Message {
        text: &'a str,
        #[serde(
            serialize_with = "shown_option",
            skip_serializing_if = "Option::is_none"
        )]
        #[schema(value_type = Option<String>)]
        reply_to: Option<EntryId>,
        #[serde(skip_serializing_if = "no_users")]
        #[schema(value_type = Vec<String>)]
        mentions: &'a [UserId],
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        metadata: Option<MetadataView<'a>>,
    },
    /// New content of a message.
    Edit {
        #[serde(serialize_with = "shown")]
        #[schema(value_type = String)]
        target: EntryId,
        text: &'a str,
        #[serde(skip_serializing_if = "no_users")]
        #[schema(value_type = Vec<String>)]
        mentions: &'a [UserId],
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        metadata: Option<MetadataView<'a>>,
    },
    /// The end of a message.
    Delete {
        #[serde(serialize_with = "shown")]
        #[schema(value_type = String)]
        target: EntryId,
    },
    /// A reaction.
    React {
        #[serde(serialize_with = "shown")]
        #[schema(value_type = String)]
        target: EntryId,
        reaction: &'a str,
    },
    /// The end of a reaction.
    Unreact {
        #[serde(serialize_with = "shown")]
        #[schema(value_type = String)]
        target: EntryId,
        reaction: &'a str,
    },
    /// A change of members.
    Members { change: ChangeView<'a> },
    /// An opaque payload, as base64.
    Opaque { payload: String },
    /// Something newer than this server.
    Unknown,
}

/// A change of members.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Change)]
pub enum ChangeView<'a> {
    /// The group is made.
    Create {
        title: &'a str,
        #[schema(value_type = Vec<String>)]
        members: &'a [UserId],
        history: HistoryView,
    },
    /// A new title.
    Rename { title: &'a str },
    /// New members.
    Add {
        #[schema(value_type = Vec<String>)]
        users: &'a [UserId],
    },
    /// The end of a membership.
    Remove { user: &'a str },
    /// The end of the sender's own.
    Leave,
    /// A new role.
    Role { user: &'a str, role: RoleView },
    /// Something newer than this server.
    Unknown,
}

/// Where new members' history starts.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HistoryStart)]
pub enum HistoryView {
    /// At the conversation's beginning.
    Beginning,
    /// At the entry that added the member.
    Joining,
}

impl From<HistoryStart> for HistoryView {
    fn from(start: HistoryStart) -> Self {
        match start {
            HistoryStart::Beginning => Self::Beginning,
            HistoryStart::Joining => Self::Joining,
        }
    }
}

/// A member's role.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
pub enum RoleView {
    /// Reads and writes.
    Member,
    /// Looks after members and messages.
    Admin,
    /// May do everything.
    Owner,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

/// Direct or group.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConversationKind)]
pub(crate) enum KindView {
    /// Between two users.
    Direct,
    /// Of members that change.
    Group,
}

impl From<ConversationKind> for KindView {
    fn from(kind: ConversationKind) -> Self {
        match kind {
            ConversationKind::Direct => Self::Direct,
            ConversationKind::Group => Self::Group,
        }
    }
}

/// Metadata is JSON if a client sent it. An app that embeds the engine may have put in any text;
/// that stands as a JSON string.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum MetadataView<'a> {
    /// As it was sent.
    Json(&'a RawValue),
    /// Not JSON.
    Text(&'a str),
}

fn metadata(message: &Message) -> Option<MetadataView<'_>> {
    message
        .metadata
        .as_deref()
        .map(|text| match serde_json::from_str(text) {
            Ok(json) => MetadataView::Json(json),
            Err(_) => MetadataView::Text(text),
        })
}

fn no_users(users: &[UserId]) -> bool {
    users.is_empty()
}

impl<'a> From<&'a Entry> for EntryView<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            conversation: entry.conversation,
            position: entry.position,
            prev: entry.prev,
            epoch: entry.epoch.0,
            entry: entry.id,
            sender: entry.sender.as_str(),
            client_id: entry.client_id.as_str(),
            body: (&entry.body).into(),
        }
    }
}

impl<'a> From<&'a Body> for BodyView<'a> {
    fn from(body: &'a Body) -> Self {
        match body {
            Body::Message(message) => Self::Message {
                text: &message.text,
                reply_to: message.reply_to,
                mentions: &message.mentions,
                metadata: metadata(message),
            },
            Body::Edit { target, message } => Self::Edit {
                target: *target,
                text: &message.text,
                mentions: &message.mentions,
                metadata: metadata(message),
            },
            Body::Delete { target } => Self::Delete { target: *target },
            Body::React { target, reaction } => Self::React {
                target: *target,
                reaction,
            },
            Body::Unreact { target, reaction } => Self::Unreact {
                target: *target,
                reaction,
            },
            Body::Members { change, .. } => Self::Members {
                change: change.into(),
            },
            Body::Opaque(payload) => Self::Opaque {
                payload: STANDARD.encode(payload),
            },
            _ => Self::Unknown,
        }
    }
}

impl<'a> From<&'a MemberChange> for ChangeView<'a> {
    fn from(change: &'a MemberChange) -> Self {
        match change {
            MemberChange::Create {
                title,
                members,
                history,
            } => Self::Create {
                title,
                members,
                history: (*history).into(),
            },
            MemberChange::Rename { title } => Self::Rename { title },
            MemberChange::Add { users } => Self::Add { users },
            MemberChange::Remove { user } => Self::Remove {
                user: user.as_str(),
            },
            MemberChange::Leave => Self::Leave,
            MemberChange::Role { user, role } => Self::Role {
                user: user.as_str(),
                role: (*role).into(),
            },
            _ => Self::Unknown,
        }
    }
}
