//! The protocol `darda.v1`: the frames of the socket, to JSON and from it. No socket in sight, so
//! that the decoder can be fuzzed and every frame be a snapshot.

mod command;
mod event;
mod fields;
mod reply;
mod text;
mod value;
mod view;

pub(crate) use command::sentence;
pub use command::{Command, DecodeError, Request, decode};
pub use event::{Hello, HelloLimits, encode_event};
pub use reply::{
    AckView, AttachedView, BlocksView, ConversationsView, Empty, GapView, GroupCreatedView,
    MembersView, OpenedView, PageView, PresenceListView, ReceiptsView, ResumedView, failed, ok,
};
pub(crate) use value::{conversation, page_limit, range};
pub use view::EntryView;

/// The subprotocol's name.
pub const SUBPROTOCOL: &str = "darda.v1";

/// The largest integer that every JSON reader keeps: 2⁵³ − 1. The bound of ids and positions.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The largest command, in bytes: the largest opaque payload and the longest resume fit. A larger
/// one closes the connection with 1009.
pub const MAX_FRAME_BYTES: usize = 128 * 1024;

/// How deep metadata may nest, so that no reader's stack is at a sender's mercy.
pub const MAX_METADATA_DEPTH: usize = 32;
