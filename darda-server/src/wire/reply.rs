//! Replies to commands, to JSON. HTTP answers with the same views.

use std::sync::Arc;

use darda_core::model::{ConversationId, Entry, EntryId, Marks, Members, Position, UserId};
use darda_core::ports::Presence;
use darda_core::{Ack, Attached, CatchUp, ConversationSummary, Page, Unread};
use serde::Serialize;
use utoipa::ToSchema;

use super::text::{Shown, shown};
use super::view::{EntryView, HistoryView, KindView, RoleView};
use crate::error::Failure;

/// Appends the reply `{"id":…,"ok":…}`.
pub fn ok<T: Serialize + ?Sized>(out: &mut Vec<u8>, id: u64, value: &T) {
    #[derive(Serialize)]
    struct Reply<'a, T: ?Sized> {
        id: u64,
        ok: &'a T,
    }
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, &Reply { id, ok: value }) {
        tracing::error!(%error, "a reply that cannot be encoded");
        out.truncate(start);
        let failure = Failure::new(crate::error::Code::Internal, "the reply cannot be encoded");
        failed(out, Some(id), &failure);
    }
}

/// Appends the reply `{"id":…,"error":…}`; the id is `null` where it could not be read.
pub fn failed(out: &mut Vec<u8>, id: Option<u64>, error: &Failure) {
    #[derive(Serialize)]
    struct Reply<'a> {
        id: Option<u64>,
        error: &'a Failure,
    }
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, &Reply { id, error }) {
        tracing::error!(%error, "an error that cannot be encoded");
        out.truncate(start);
    }
}

/// Nothing to say but that it was done.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Empty {}

/// Where an appended entry stands.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AckView {
    /// Its id.
    #[serde(serialize_with = "shown")]
    pub entry: EntryId,
    /// Its position.
    pub position: Position,
    /// The position before it; `null` where that is not known.
    pub prev: Option<Position>,
    /// Whether it was there before.
    pub repeat: bool,
}

impl From<Ack> for AckView {
    fn from(ack: Ack) -> Self {
        Self {
            entry: ack.id,
            position: ack.position,
            prev: ack.prev,
            repeat: ack.repeat,
        }
    }
}

/// A conversation that was opened.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OpenedView {
    /// Its id.
    #[serde(serialize_with = "shown")]
    pub conversation: ConversationId,
}

/// A group that was made.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct GroupCreatedView {
    /// Its id.
    #[serde(serialize_with = "shown")]
    pub conversation: ConversationId,
    /// Its first entry.
    #[serde(flatten)]
    pub ack: AckView,
}

/// What a conversation holds after a cursor.
#[derive(Debug, Serialize)]
pub struct AttachedView<'a> {
    /// Ascending.
    pub entries: Vec<EntryView<'a>>,
    /// Whether that is all.
    pub complete: bool,
    /// What is to be fetched if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<GapView>,
    /// The newest position, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Position>,
    /// Whether the newest entries may be missing.
    #[serde(skip_serializing_if = "is_false")]
    pub stale: bool,
}

/// A stretch that an attach did not hand over.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct GapView {
    /// Page on after this position,
    pub after: Position,
    /// until this one; without it, until there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Position>,
}

impl<'a> From<&'a Attached> for AttachedView<'a> {
    fn from(attached: &'a Attached) -> Self {
        let gap = match attached.catch_up {
            CatchUp::Complete => None,
            CatchUp::Gap { after, before } => Some(GapView { after, before }),
        };
        Self {
            entries: entries(&attached.entries),
            complete: gap.is_none(),
            gap,
            head: attached.head,
            stale: attached.stale,
        }
    }
}

fn entries(entries: &[Arc<Entry>]) -> Vec<EntryView<'_>> {
    entries.iter().map(|entry| entry.as_ref().into()).collect()
}

/// What a resume brings.
#[derive(Debug, Serialize)]
pub struct ResumedView<'a> {
    /// The conversations in which something has happened, or that failed.
    pub conversations: Vec<ResumedConversationView<'a>>,
}

/// One conversation of a resume.
#[derive(Debug, Serialize)]
pub struct ResumedConversationView<'a> {
    #[serde(serialize_with = "shown")]
    conversation: ConversationId,
    #[serde(flatten)]
    outcome: ResumedOutcome<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ResumedOutcome<'a> {
    Attached(AttachedView<'a>),
    Failed { error: Failure },
}

impl<'a> From<&'a [(ConversationId, darda_core::Result<Attached>)]> for ResumedView<'a> {
    fn from(resumed: &'a [(ConversationId, darda_core::Result<Attached>)]) -> Self {
        let one = |(conversation, outcome): &'a (ConversationId, darda_core::Result<Attached>)| {
            ResumedConversationView {
                conversation: *conversation,
                outcome: match outcome {
                    Ok(attached) => ResumedOutcome::Attached(attached.into()),
                    Err(error) => ResumedOutcome::Failed {
                        error: error.into(),
                    },
                },
            }
        };
        Self {
            conversations: resumed.iter().map(one).collect(),
        }
    }
}

/// A page of history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub struct PageView<'a> {
    /// Ascending.
    pub entries: Vec<EntryView<'a>>,
    /// Whether there is more in the direction asked.
    pub more: bool,
    /// Whether the newest entries may be missing: the cache did not answer.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    pub stale: bool,
}

impl<'a> From<&'a Page> for PageView<'a> {
    fn from(page: &'a Page) -> Self {
        Self {
            entries: entries(&page.entries),
            more: page.more,
            stale: page.stale,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A page of a user's conversations.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conversations)]
pub struct ConversationsView<'a> {
    /// The one with the newest entry first.
    pub conversations: Vec<ConversationView<'a>>,
}

/// A conversation in a user's list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conversation)]
pub struct ConversationView<'a> {
    /// Its id.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = String)]
    conversation: ConversationId,
    /// Direct or group.
    kind: KindView,
    /// A group's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    /// The other user of a direct conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    /// The user's role.
    role: RoleView,
    /// The newest position, if there is an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    head: Option<Position>,
    /// The newest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message: Option<EntryView<'a>>,
    /// Up to where the user's devices have it; 0 is 'nothing yet'.
    #[schema(value_type = u64)]
    delivered: Position,
    /// Up to where the user has seen it; 0 is 'nothing yet'.
    #[schema(value_type = u64)]
    seen: Position,
    /// What the user has not seen.
    unread: UnreadView,
}

/// Messages of others that were not seen.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Unread)]
pub(crate) struct UnreadView {
    count: u32,
    /// Whether there may be more than were counted.
    more: bool,
}

impl From<Unread> for UnreadView {
    fn from(unread: Unread) -> Self {
        Self {
            count: unread.count,
            more: unread.more,
        }
    }
}

impl<'a> From<&'a [ConversationSummary]> for ConversationsView<'a> {
    fn from(summaries: &'a [ConversationSummary]) -> Self {
        Self {
            conversations: summaries.iter().map(ConversationView::from).collect(),
        }
    }
}

impl<'a> From<&'a ConversationSummary> for ConversationView<'a> {
    fn from(it: &'a ConversationSummary) -> Self {
        Self {
            conversation: it.conversation,
            kind: it.kind.into(),
            title: (!it.title.is_empty()).then_some(it.title.as_str()),
            peer: it.peer.as_ref().map(UserId::as_str),
            role: it.role.into(),
            head: it.head,
            last_message: it.last_message.as_deref().map(EntryView::from),
            delivered: it.marks.delivered,
            seen: it.marks.seen,
            unread: it.unread.into(),
        }
    }
}

/// A conversation's members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Members)]
pub struct MembersView<'a> {
    /// The version of what follows.
    epoch: u64,
    /// Direct or group.
    kind: KindView,
    /// A group's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    /// Where new members' history starts.
    history: HistoryView,
    /// In the order of their ids.
    members: Vec<MemberView<'a>>,
}

/// A member.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberView<'a> {
    user: &'a str,
    role: RoleView,
}

impl<'a> From<&'a Members> for MembersView<'a> {
    fn from(members: &'a Members) -> Self {
        let member = |(user, member): (&'a UserId, &darda_core::model::Member)| MemberView {
            user: user.as_str(),
            role: member.role.into(),
        };
        Self {
            epoch: members.epoch.0,
            kind: members.kind.into(),
            title: (!members.title.is_empty()).then_some(members.title.as_str()),
            history: members.history.into(),
            members: members.list.iter().map(member).collect(),
        }
    }
}

/// How far the members have come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipts)]
pub struct ReceiptsView<'a> {
    /// Of members that have marks.
    receipts: Vec<ReceiptView<'a>>,
}

/// How far a member has come.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(crate) struct ReceiptView<'a> {
    user: &'a str,
    /// The newest entry that reached a device; 0 is 'nothing yet'.
    #[schema(value_type = u64)]
    delivered: Position,
    /// The newest entry that was seen; 0 is 'nothing yet'.
    #[schema(value_type = u64)]
    seen: Position,
}

impl<'a> From<&'a [(UserId, Marks)]> for ReceiptsView<'a> {
    fn from(receipts: &'a [(UserId, Marks)]) -> Self {
        let receipt = |(user, marks): &'a (UserId, Marks)| ReceiptView {
            user: user.as_str(),
            delivered: marks.delivered,
            seen: marks.seen,
        };
        Self {
            receipts: receipts.iter().map(receipt).collect(),
        }
    }
}

/// Who is there.
#[derive(Debug, Serialize)]
pub struct PresenceListView<'a> {
    presence: Vec<PresenceView<'a>>,
}

#[derive(Debug, Serialize)]
struct PresenceView<'a> {
    user: &'a str,
    online: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_ms: Option<u64>,
}

impl<'a> From<&'a [(UserId, Presence)]> for PresenceListView<'a> {
    fn from(presence: &'a [(UserId, Presence)]) -> Self {
        let one = |(user, presence): &'a (UserId, Presence)| {
            let (online, last_seen_ms) = match presence {
                Presence::Online => (true, None),
                Presence::Offline { last_seen_ms } => (false, *last_seen_ms),
            };
            PresenceView {
                user: user.as_str(),
                online,
                last_seen_ms,
            }
        };
        Self {
            presence: presence.iter().map(one).collect(),
        }
    }
}

/// Whom the user has blocked.
#[derive(Debug, Serialize)]
pub struct BlocksView {
    users: Vec<Shown<UserId>>,
}

impl From<Vec<UserId>> for BlocksView {
    fn from(users: Vec<UserId>) -> Self {
        Self {
            users: users.into_iter().map(Shown).collect(),
        }
    }
}
