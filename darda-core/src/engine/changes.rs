//! Conversations made, and changes of members.
//!
//! A change is appended like any entry, which raises the log's epoch, and then applied to the
//! store's members by compare-and-set on the epoch that it was decided under, before anybody is
//! told. If the node dies in between, the change is in the outbox, and the writer applies it. If the
//! cache loses its memory then, the store has kept the entry with the change, and whoever loads the
//! members hands it over.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::node::Node;
use super::publish::To;
use super::registered::SessionCore;
use super::send::ack;
use super::surface::Ack;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Body, ClientId, ConversationId, Entry, EntryId, HistoryStart, MemberChange, Members, UserId,
};
use crate::ports::{Admission, Append, Appended, Audience, Commit, EventBody, LiveEvent};

/// Attempts at a change that other changes overtake.
const MAX_ATTEMPTS: usize = 4;
/// Changes before it that a commit finds on their way and commits first.
const MAX_EARLIER: usize = 16;

impl Node {
    pub(crate) async fn open_direct(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        other: UserId,
    ) -> Result<ConversationId> {
        self.admit_send(session)?;
        let members = Members::direct(&session.user, &other);
        let conversation = members.conversation;
        if session.user != other {
            self.check_block(&session.user, &other).await?;
        }
        let users: Vec<_> = members.list.keys().cloned().collect();
        let known = self.remembered(conversation).is_some()
            || self.ports.store.members(conversation).await?.is_some();
        if !known {
            for user in &users {
                self.check_room(user).await?;
            }
            self.ports
                .store
                .open_direct(session.user.clone(), other)
                .await?;
        }
        self.remember_members(&Arc::new(members.clone()));
        if !known || !session.conversations().contains(&conversation) {
            self.renew(&members);
            let joined = EventBody::Joined { conversation };
            let audience = Audience::Users(users.clone());
            let event = LiveEvent {
                audience,
                origin: None,
                event: joined.into(),
            };
            self.publish(event, To::Users(users));
        }
        Ok(conversation)
    }

    pub(crate) async fn create_group(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        client_id: ClientId,
        title: String,
        members: Vec<UserId>,
        history: HistoryStart,
    ) -> Result<(ConversationId, Ack)> {
        let conversation = ConversationId::group(&session.user, &client_id);
        let change = MemberChange::Create {
            title,
            members,
            history,
        };
        let ack = self
            .change(session, conversation, client_id, change)
            .await?;
        Ok((conversation, ack))
    }

    pub(crate) async fn change(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        conversation: ConversationId,
        client_id: ClientId,
        change: MemberChange,
    ) -> Result<Ack> {
        change.validate()?;
        self.admit_send(session)?;
        self.instruments.sends.increment(1);
        let user = &session.user;
        let id = EntryId::derive(conversation, user, &client_id);
        let creates = matches!(change, MemberChange::Create { .. });
        for _ in 0..MAX_ATTEMPTS {
            // The members first: whatever they contain is found by its id afterwards.
            let loaded = self.load_members(conversation).await?;
            let unlogged = self.ports.store.unlogged(conversation).await?;
            let found = match unlogged.into_iter().find(|entry| entry.id == id) {
                Some(entry) => Some(entry),
                None => self.find_entry(conversation, id).await?,
            };
            if let Some(entry) = found {
                if !matches!(entry.body, Body::Members { .. }) {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "this client id names a send that is no change of members",
                    ));
                }
                self.instruments.repeats.increment(1);
                if self.settle_change(&entry).await? {
                    return Ok(ack(&entry, true));
                }
                continue;
            }
            let members = match loaded {
                Some(members) if creates || members.get(user).is_some() => members,
                None if creates => Arc::new(Members::nobody(conversation)),
                _ => return Err(Error::not_found()),
            };
            members.check(user, &change)?;
            let newcomers = newcomers(&members, user, &change);
            self.check_block_of_any(user, newcomers.clone()).await?;
            if creates {
                self.check_room(user).await?;
            }
            for newcomer in &newcomers {
                self.check_room(newcomer).await?;
            }
            let append = Append {
                conversation,
                id,
                sender: user.clone(),
                client_id: client_id.clone(),
                body: Body::Members {
                    base: members.epoch,
                    change: change.clone(),
                },
                admission: Admission::Checked {
                    epoch: members.epoch,
                    fresh: true,
                },
            };
            match self.ports.cache.append(append).await? {
                Appended::New(entry) => {
                    if self.settle_change(&entry).await? {
                        return Ok(ack(&entry, false));
                    }
                }
                Appended::Repeat { .. } | Appended::StaleEpoch => {}
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "other changes of the members came between",
        ))
    }

    /// Puts an appended change into force, hands it over, and tells of it. Returns `false` if it
    /// lost to another change and was taken back.
    async fn settle_change(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<bool> {
        let conversation = entry.conversation;
        let before = self.remembered(conversation);
        if !self.commit_change(entry).await? {
            self.ports
                .cache
                .withdraw(conversation, entry.id, entry.position)
                .await?;
            return Ok(false);
        }
        self.ports
            .cache
            .raise_epoch(conversation, entry.epoch)
            .await?;
        let members = self
            .load_members(conversation)
            .await?
            .ok_or_else(Error::not_found)?;
        self.renew(&members);
        let confirmed = self.hand_over(entry.clone())?;
        self.tell_change(entry, before.as_deref(), &members);
        match confirmed.await {
            Ok(confirmed) => confirmed.map(|()| true),
            Err(_) => Err(Error::unavailable("the node stopped")),
        }
    }

    fn tell_change(self: &Arc<Self>, entry: &Arc<Entry>, before: Option<&Members>, now: &Members) {
        let conversation = entry.conversation;
        let audience = Audience::Members {
            conversation,
            epoch: entry.epoch,
        };
        let body = EventBody::Entry(entry.clone());
        let event = LiveEvent {
            audience,
            origin: None,
            event: body.into(),
        };
        // The nodes of those who were members must learn it too: they stop telling them.
        let concerned: BTreeSet<_> = before
            .into_iter()
            .chain([now])
            .flat_map(|members| members.list.keys())
            .collect();
        let creates = matches!(
            &entry.body,
            Body::Members {
                change: MemberChange::Create { .. },
                ..
            }
        );
        // Before its creation a group had no members. Of any other, who they were is not known here
        // without a copy.
        let to = if creates || before.is_some() {
            To::Users(concerned.into_iter().cloned().collect())
        } else {
            To::All
        };
        self.publish(event.clone(), to);
        if let Body::Members { change, .. } = &entry.body {
            let added = match change {
                MemberChange::Create { members, .. } => members.clone(),
                MemberChange::Add { users } => users.clone(),
                _ => Vec::new(),
            };
            if !added.is_empty() {
                let joined = EventBody::Joined { conversation };
                let audience = Audience::Users(added.clone());
                let event = LiveEvent {
                    audience,
                    origin: None,
                    event: joined.into(),
                };
                self.publish(event, To::Users(added));
            }
        }
        self.deliver(event);
    }

    /// Applies a change to the store's members. Returns `false` if another change took its place.
    pub(crate) async fn commit_change(&self, entry: &Arc<Entry>) -> Result<bool> {
        let mut waiting = vec![entry.clone()];
        for _ in 0..MAX_EARLIER {
            let Some(entry) = waiting.last().cloned() else {
                return Ok(true);
            };
            let Body::Members { base, change } = &entry.body else {
                return Err(Error::new(ErrorKind::Internal, "not a change of members"));
            };
            let stored = self.ports.store.members(entry.conversation).await?;
            let stored = stored.unwrap_or_else(|| Members::nobody(entry.conversation));
            if stored.epoch < *base {
                let changes = self.ports.cache.changes(entry.conversation).await?;
                match changes.into_iter().find(|earlier| earlier.epoch == *base) {
                    Some(earlier) => waiting.push(earlier),
                    None => return Ok(false),
                }
                continue;
            }
            let mut delta = stored.delta(&entry.sender, change, entry.epoch);
            delta.base = *base;
            match self.ports.store.commit_members(delta, entry).await? {
                Commit::Committed | Commit::Repeat => {
                    waiting.pop();
                }
                Commit::Conflict { .. } => return Ok(false),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "too many changes of the members are on their way",
        ))
    }
}

/// Whom a change brings in, beside the one who makes it.
fn newcomers(members: &Members, actor: &UserId, change: &MemberChange) -> Vec<UserId> {
    let users = match change {
        MemberChange::Create { members, .. } => members,
        MemberChange::Add { users } => users,
        _ => return Vec::new(),
    };
    let new = |user: &&UserId| *user != actor && members.get(user).is_none();
    let users: BTreeSet<_> = users.iter().filter(new).cloned().collect();
    users.into_iter().collect()
}
