//! Every limit that a user's input meets, by name. What happens at each stands beside it; the
//! server's frame and connection limits are its own.

use std::time::Duration;

/// Length of a user id, in bytes. Longer: [`InvalidId`](super::InvalidId).
pub const MAX_USER_ID_BYTES: usize = 64;
/// Length of a client id, in bytes. Longer: [`InvalidId`](super::InvalidId).
pub const MAX_CLIENT_ID_BYTES: usize = 64;
/// Length of a message's text, in bytes of UTF-8. Longer: `too_large`.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Length of a message's metadata, in bytes. Longer: `too_large`.
pub const MAX_METADATA_BYTES: usize = 4 * 1024;
/// Length of an opaque payload, in bytes. Longer: `too_large`.
pub const MAX_OPAQUE_BYTES: usize = 32 * 1024;
/// Users that one message mentions. More: `too_large`.
pub const MAX_MENTIONS: usize = 50;
/// Length of a reaction, in bytes of UTF-8. Longer: `too_large`.
pub const MAX_REACTION_BYTES: usize = 32;
/// Length of a group's title, in bytes of UTF-8. Longer: `too_large`.
pub const MAX_TITLE_BYTES: usize = 128;
/// Members of one group. More: `limit_reached`.
pub const MAX_MEMBERS: usize = 10_000;
/// Users that one membership change names. More: `too_large`.
pub const MAX_MEMBERS_PER_CHANGE: usize = 100;
/// Conversations that one user is a member of. More: `limit_reached`.
pub const MAX_CONVERSATIONS_PER_USER: usize = 1_000;
/// Membership changes of one conversation that wait to be stored in its log. More: `busy`.
pub const MAX_UNLOGGED_CHANGES: usize = 64;
/// Users that one user blocks. More: `limit_reached`.
pub const MAX_BLOCKS_PER_USER: usize = 1_000;
/// Entries of one page of history. A higher request is cut to this.
pub const MAX_PAGE: usize = 200;
/// Entries of a page when the request names no limit.
pub const DEFAULT_PAGE: usize = 50;
/// Conversations that one resume names. More: `too_large`.
pub const MAX_RESUME: usize = 1_000;
/// Entries that one resume answers with, roughly; conversations beyond it are answered by a gap.
pub const MAX_RESUME_ENTRIES: usize = 4_000;
/// Bytes of the bodies that one resume answers with; conversations beyond it are answered by a gap. Far
/// below what clients take as one frame, however JSON writes the bytes.
pub const MAX_RESUME_BYTES: usize = 8 * 1024 * 1024;
/// Conversations of one page of a user's list. A higher request is cut to this.
pub const MAX_LIST_PAGE: usize = 100;
/// Members that one presence request answers for. Of a larger conversation, the first ones.
pub const MAX_PRESENCE: usize = 100;
/// Members up to which a conversation's nodes are looked up; events of larger ones go to all nodes.
pub const SMALL_CONVERSATION: usize = 32;
/// Members above which typing is not passed on.
pub const MAX_TYPING_MEMBERS: usize = 100;
/// Unread messages are counted among so many entries after the seen mark, then '+'.
pub const MAX_UNREAD: usize = 100;
/// Shards of conversations.
pub const SHARDS: u16 = 256;
/// How far a position may lie ahead of the clock, in a mark that a client sets.
pub const MAX_CLOCK_LEAD: Duration = Duration::from_secs(10);
