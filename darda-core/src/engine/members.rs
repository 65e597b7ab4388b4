//! Who is a member: a copy of each conversation's members, and when it may be believed.
//!
//! The copy's epoch decides: whoever appends or reads compares it with the log's epoch in the cache
//! and loads the members again if that is another.

use std::sync::Arc;

use super::node::Node;
use super::registered::SessionCore;
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::MAX_CONVERSATIONS_PER_USER;
use crate::model::{ConversationId, ConversationKind, Entry, EntryId, Epoch, Members, UserId};
use crate::ports::Membership;

/// Direct conversations of a list whose members are remembered: who comes back reads a few of them at
/// once, and nothing has to be loaded for it.
const DIRECT_REMEMBERED: usize = 64;

impl Node {
    /// The copy, if there is one.
    pub(crate) fn remembered(&self, conversation: ConversationId) -> Option<Arc<Members>> {
        self.members.lock().get(&conversation).cloned()
    }

    /// Loads the members. Changes that are on their way are put into force first: nobody is let in
    /// by a change that might still be lost.
    pub(crate) async fn load_members(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<Arc<Members>>> {
        self.instruments.reloads.increment(1);
        // First what is on its way, then what has arrived: nothing is between them. Without the
        // cache, what the store has is what was acknowledged.
        let changes = match self.ports.cache.changes(conversation).await {
            Ok(changes) => Some(changes),
            Err(error) if error.is_transient() => None,
            Err(error) => return Err(error),
        };
        let store = &self.ports.store;
        let (mut stored, unlogged) =
            futures::try_join!(store.members(conversation), store.unlogged(conversation))?;
        if let Some(changes) = &changes {
            let epoch = stored.as_ref().map_or(Epoch(0), |members| members.epoch);
            let mut committed = false;
            for change in changes.iter().filter(|change| change.epoch > epoch) {
                committed |= self.commit_change(change).await?;
            }
            if committed {
                stored = store.members(conversation).await?;
            }
            for entry in unlogged {
                if changes.iter().all(|change| change.id != entry.id) {
                    // The cache has lost it. Whether the broker takes it now or at the next time,
                    // nobody waits for it.
                    drop(self.hand_over(entry)?);
                }
            }
        }
        let Some(members) = stored else {
            self.members.lock().pop(&conversation);
            return Ok(None);
        };
        let members = Arc::new(members);
        self.remember_members(&members);
        Ok(Some(members))
    }

    pub(crate) fn remember_members(&self, members: &Arc<Members>) {
        let replaced = self
            .members
            .lock()
            .put(members.conversation, members.clone());
        if replaced.is_none_or(|before| before.epoch != members.epoch) {
            self.routes.forget(members.conversation);
        }
    }

    /// Remembers what a user's list says of direct conversations, whose members never change.
    pub(crate) fn remember_direct<'a>(
        &self,
        user: &UserId,
        memberships: impl IntoIterator<Item = &'a Membership>,
    ) {
        let direct = memberships.into_iter().filter_map(|membership| {
            let members = Members::direct(user, membership.peer.as_ref()?);
            (members.conversation == membership.conversation).then_some(members)
        });
        let mut remembered = self.members.lock();
        for members in direct.take(DIRECT_REMEMBERED) {
            remembered.get_or_insert(members.conversation, || Arc::new(members));
        }
    }

    /// The members, loaded now, if the user is one.
    pub(crate) async fn members_for(
        &self,
        conversation: ConversationId,
        user: &UserId,
    ) -> Result<Arc<Members>> {
        match self.load_members(conversation).await? {
            Some(members) if members.get(user).is_some() => Ok(members),
            _ => Err(Error::not_found()),
        }
    }

    /// The copy, or else the members as loaded now, if the user is one; and whether it was loaded
    /// now.
    pub(crate) async fn copy_for(
        &self,
        conversation: ConversationId,
        user: &UserId,
    ) -> Result<(Arc<Members>, bool)> {
        match self.remembered(conversation) {
            Some(members) if members.get(user).is_some() => Ok((members, false)),
            _ => Ok((self.members_for(conversation, user).await?, true)),
        }
    }

    /// Members whose epoch the cache confirms, if the user is one.
    pub(crate) async fn confirmed_for(
        &self,
        conversation: ConversationId,
        user: &UserId,
    ) -> Result<Arc<Members>> {
        let (members, fresh) = self.copy_for(conversation, user).await?;
        if fresh || members.kind == ConversationKind::Direct {
            return Ok(members);
        }
        let epochs = self.ports.cache.epochs(vec![conversation]).await?;
        if epochs.first().copied().flatten() == Some(members.epoch) {
            Ok(members)
        } else {
            self.members_for(conversation, user).await
        }
    }

    /// Refuses one conversation too many.
    pub(crate) async fn check_room(&self, user: &UserId) -> Result<()> {
        let memberships = self.ports.store.memberships(user.clone()).await?;
        if memberships.len() >= MAX_CONVERSATIONS_PER_USER {
            return Err(Error::new(
                ErrorKind::LimitReached,
                format!("{user} is in {MAX_CONVERSATIONS_PER_USER} conversations already"),
            ));
        }
        Ok(())
    }

    /// One entry by its id, wherever it is.
    pub(crate) async fn find_entry(
        &self,
        conversation: ConversationId,
        id: EntryId,
    ) -> Result<Option<Arc<Entry>>> {
        match self.ports.cache.find(conversation, id).await? {
            Some(entry) => Ok(Some(entry)),
            None => self.ports.store.find(conversation, id).await,
        }
    }

    /// Makes a session a receiver of a conversation's events.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        conversation: ConversationId,
        visible_from: crate::model::Position,
        epoch: crate::model::Epoch,
    ) -> bool {
        if session.queue.is_closed() {
            return false;
        }
        let (hub, new, followup) = {
            let mut hubs = self.hubs.lock();
            let hub = hubs
                .entry(conversation)
                .or_insert_with(|| Arc::new(super::hub::Hub::new(conversation, epoch)))
                .clone();
            let (new, followup) = hub.subscribe(session, visible_from, epoch);
            session.remember(conversation);
            (hub, new, followup)
        };
        self.follow_up(&hub, followup);
        new
    }
}
