//! What a chat is made of: users, conversations, members, entries, and their limits.

mod conversation;
mod entry;
mod ids;
pub mod limits;
pub mod permissions;

pub use conversation::{
    ConversationKind, HistoryStart, Marks, Member, MemberChange, Members, MembersDelta,
};
pub(crate) use entry::within;
pub use entry::{Body, Entry, Message};
pub use ids::{
    ClientId, ConversationId, EntryId, Epoch, InvalidId, NodeId, Position, SessionId, UserId,
};
pub use permissions::Role;
