//! What outlives a restart of the app: what waits to be sent, and how far each conversation was given
//! to the app.

mod file;
mod keeper;
mod memory;

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::file::FileStorage;
pub(crate) use self::keeper::{Keeper, Kept};
pub use self::memory::MemoryStorage;
use crate::Result;
use crate::id::{ClientId, ConversationId, Position, UserId};
use crate::wire::Append;

/// A storage of one user's device.
///
/// # Contract
/// - What `apply` was given is found by `load` once it has returned, also after the process was
///   killed. Of changes in one call all are found or a first part of them; never a later one without
///   an earlier one.
/// - Calls take effect in the order in which they were made. The client makes one at a time.
/// - One client at a time uses it. An implementation that can tell refuses a second one.
///
/// # Errors
/// [`Error::storage`](crate::Error::storage), with the cause. After a failed `apply` each of its changes
/// is kept or not; the client goes on with what it has in memory, and tells the app.
///
/// # Cancellation
/// `apply` may be dropped when the client is; each change is then kept or not.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// Everything that is kept. Called once, before anything else.
    async fn load(&self) -> Result<Stored>;

    /// Keeps changes, in this order.
    async fn apply(&self, changes: Vec<Change>) -> Result<()>;
}

/// What a storage holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// Whose it is; `None`: nobody's yet.
    pub user: Option<UserId>,
    /// Whether this device once had everything that the server had.
    pub caught_up: bool,
    /// What waits to be sent, in the order in which it was put.
    pub items: Vec<Item>,
    /// Up to where each conversation was handled by the app.
    pub cursors: Vec<(ConversationId, Position)>,
}

/// A step of what a storage holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It belongs to this user from now on.
    User(UserId),
    /// This device has everything that the server has.
    CaughtUp,
    /// This waits to be sent, after all others. One with the same conversation and client id is
    /// replaced, and keeps its place.
    Put(Item),
    /// It waits no more.
    Remove(ConversationId, ClientId),
    /// The app has handled the conversation up to here.
    Cursor(ConversationId, Position),
    /// The conversation is the user's no more.
    Forget(ConversationId),
}

/// Something that waits to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Where to.
    pub conversation: ConversationId,
    /// Its name for ever: sent again with the same one, it is the same entry.
    pub client_id: ClientId,
    /// The other user of a direct conversation that may not have begun yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<UserId>,
    /// What is sent.
    pub append: Append,
}

impl Stored {
    /// Takes a change over: what every storage's changes mean.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::User(user) => self.user = Some(user),
            Change::CaughtUp => self.caught_up = true,
            Change::Put(item) => {
                match self.place(&item.conversation, &item.client_id) {
                    Some(at) => self.items[at] = item,
                    None => self.items.push(item),
                };
            }
            Change::Remove(conversation, client_id) => {
                if let Some(at) = self.place(&conversation, &client_id) {
                    self.items.remove(at);
                }
            }
            Change::Cursor(conversation, position) => {
                let held = self.cursors.iter_mut().find(|(at, _)| *at == conversation);
                match held {
                    Some((_, cursor)) => *cursor = position,
                    None => self.cursors.push((conversation, position)),
                }
            }
            Change::Forget(conversation) => self.cursors.retain(|(at, _)| *at != conversation),
        }
    }

    fn place(&self, conversation: &ConversationId, client_id: &ClientId) -> Option<usize> {
        self.items
            .iter()
            .position(|item| item.client_id == *client_id && item.conversation == *conversation)
    }

    /// The fewest changes that lead to it.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let user = self.user.iter().cloned().map(Change::User);
        let caught_up = self.caught_up.then_some(Change::CaughtUp);
        let items = self.items.iter().cloned().map(Change::Put);
        let cursors = self.cursors.iter().cloned();
        let cursors = cursors.map(|(conversation, at)| Change::Cursor(conversation, at));
        user.chain(caught_up).chain(items).chain(cursors).collect()
    }
}
