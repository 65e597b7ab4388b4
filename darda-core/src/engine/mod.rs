//! The chat engine over the four ports.
//!
//! | file | what it does |
//! |---|---|
//! | `chat`, `session`, `visit` | the surface |
//! | `node` | what the tasks and sessions of a node share |
//! | `send`, `changes` | entries and membership changes on their way in |
//! | `handover`, `publish` | batches to the broker: durable, and live |
//! | `live`, `hub`, `queue` | events on their way to sessions |
//! | `log`, `reading`, `list` | attach, history, resume; the list of conversations |
//! | `members`, `blocks` | who may see what; who blocks whom |
//! | `writer`, `relocation`, `reaper` | entries on their way to the store |
//! | `receipts`, `pulse`, `registrar` | marks; heads and leases; sessions in the registry |

mod batch;
mod blocks;
mod by_shard;
mod changes;
mod chat;
mod handover;
mod hub;
mod kept;
mod list;
mod live;
mod log;
mod members;
mod node;
mod options;
mod publish;
mod pulse;
mod queue;
mod reading;
mod reaper;
mod receipts;
mod registered;
mod registrar;
mod relocation;
mod send;
mod session;
mod surface;
mod visit;
mod wakes;
mod writer;

pub use chat::{Chat, Ports};
pub use options::{Encoder, Options, Rate, Roles};
pub use session::Session;
pub use surface::{
    Ack, Acknowledged, Attached, CatchUp, ConversationSummary, Mark, Page, Pending, PortHealth,
    SendRequest, Unread,
};
pub use visit::Visit;
pub use wakes::wake_once;
