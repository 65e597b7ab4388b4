//! Conversations and their members, and what a membership change makes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::within;
use super::ids::{ConversationId, Epoch, Position, UserId};
use super::limits::{MAX_MEMBERS, MAX_MEMBERS_PER_CHANGE, MAX_TITLE_BYTES};
use super::permissions::{Action, Role, allowed};
use crate::error::{Error, ErrorKind};

/// Where a new member's history starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HistoryStart {
    /// At the conversation's beginning.
    #[default]
    Beginning,
    /// At the entry that added the member.
    Joining,
}

/// Direct or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConversationKind {
    /// Between two users, for ever.
    Direct,
    /// Of members that change.
    Group,
}

/// A user's place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What the user may do.
    pub role: Role,
    /// The epoch that made the user a member.
    pub since: Epoch,
    /// Entries below this position are hidden from the user.
    pub visible_from: Position,
}

/// A conversation with its members, at one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The conversation.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: ConversationKind,
    /// The version of what follows.
    pub epoch: Epoch,
    /// The group's title; empty for direct conversations.
    pub title: String,
    /// Where new members' history starts.
    pub history: HistoryStart,
    /// The members, in the order of their ids.
    pub list: BTreeMap<UserId, Member>,
}

/// A change of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MemberChange {
    /// The group is made. The actor becomes its owner.
    Create {
        /// At most [`MAX_TITLE_BYTES`].
        title: String,
        /// Its first members besides the owner.
        members: Vec<UserId>,
        /// Where later members' history starts.
        history: HistoryStart,
    },
    /// A new title.
    Rename {
        /// At most [`MAX_TITLE_BYTES`].
        title: String,
    },
    /// New members. Those who are members already stay as they are.
    Add {
        /// At most [`MAX_MEMBERS_PER_CHANGE`].
        users: Vec<UserId>,
    },
    /// The end of somebody's membership.
    Remove {
        /// The member.
        user: UserId,
    },
    /// The end of one's own. An owner who leaves hands the group to the first admin, else the first
    /// member, by length of membership and then by id.
    Leave,
    /// A new role. Making another member the owner makes the old owner an admin.
    Role {
        /// The member.
        user: UserId,
        /// The new role.
        role: Role,
    },
}

impl MemberChange {
    /// Checks every limit of the change.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] or [`ErrorKind::Invalid`], naming the part.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Create { title, members, .. } => {
                valid_title(title)?;
                within("members", members.len(), MAX_MEMBERS_PER_CHANGE)
            }
            Self::Rename { title } => valid_title(title),
            Self::Add { users } => {
                if users.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "name at least one user to add",
                    ));
                }
                within("users", users.len(), MAX_MEMBERS_PER_CHANGE)
            }
            Self::Remove { .. } | Self::Leave | Self::Role { .. } => Ok(()),
        }
    }
}

fn valid_title(title: &str) -> Result<(), Error> {
    if title.trim().is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "a title must not be empty"));
    }
    within("title", title.len(), MAX_TITLE_BYTES)
}

/// What a membership change alters, for a [`Store`](crate::ports::Store) to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersDelta {
    /// The conversation.
    pub conversation: ConversationId,
    /// The epoch that it may be applied to, and no other.
    pub base: Epoch,
    /// The epoch that it makes.
    pub epoch: Epoch,
    /// The title from now on.
    pub title: String,
    /// Where new members' history starts.
    pub history: HistoryStart,
    /// Members that are new or have changed.
    pub upsert: Vec<(UserId, Member)>,
    /// Users that are members no more.
    pub remove: Vec<UserId>,
}

impl Members {
    /// The direct conversation of two users. Its epoch is 0 for ever.
    #[must_use]
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let member = Member {
            role: Role::Member,
            since: Epoch(0),
            visible_from: Position::default(),
        };
        Self {
            conversation: ConversationId::direct(a, b),
            kind: ConversationKind::Direct,
            epoch: Epoch(0),
            title: String::new(),
            history: HistoryStart::Beginning,
            list: [(a.clone(), member), (b.clone(), member)].into(),
        }
    }

    /// A group before its creation: no members, epoch 0.
    #[must_use]
    pub fn nobody(conversation: ConversationId) -> Self {
        Self {
            conversation,
            kind: ConversationKind::Group,
            epoch: Epoch(0),
            title: String::new(),
            history: HistoryStart::Beginning,
            list: BTreeMap::new(),
        }
    }

    /// The user's place, if there is one.
    #[must_use]
    pub fn get(&self, user: &UserId) -> Option<&Member> {
        self.list.get(user)
    }

    /// The other user of a direct conversation.
    #[must_use]
    pub fn peer(&self, user: &UserId) -> Option<&UserId> {
        match self.kind {
            ConversationKind::Direct => self
                .list
                .keys()
                .find(|other| *other != user)
                .or_else(|| self.list.keys().next()),
            ConversationKind::Group => None,
        }
    }

    /// Whether `actor` may make this change now.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] by the table of [permissions](super::permissions),
    /// [`ErrorKind::NotFound`] if the change names somebody who is no member,
    /// [`ErrorKind::LimitReached`] above [`MAX_MEMBERS`].
    pub fn check(&self, actor: &UserId, change: &MemberChange) -> Result<(), Error> {
        if let MemberChange::Create { .. } = change {
            return if self.list.is_empty() {
                Ok(())
            } else {
                Err(Error::new(ErrorKind::Invalid, "the group exists already"))
            };
        }
        if self.kind == ConversationKind::Direct {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "a direct conversation's members stay",
            ));
        }
        let role = self.get(actor).map(|member| member.role);
        let target = |user: &UserId| {
            self.get(user)
                .map(|member| member.role)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such member"))
        };
        let action = match change {
            MemberChange::Create { .. } | MemberChange::Rename { .. } => Action::Rename,
            MemberChange::Add { users } => {
                let new = users
                    .iter()
                    .filter(|user| !self.list.contains_key(*user))
                    .count();
                if self.list.len() + new > MAX_MEMBERS {
                    return Err(Error::new(
                        ErrorKind::LimitReached,
                        format!("a group has at most {MAX_MEMBERS} members"),
                    ));
                }
                Action::AddMembers
            }
            MemberChange::Remove { user } => Action::Remove(target(user)?),
            MemberChange::Leave => Action::Leave,
            MemberChange::Role { user, role } => {
                if user == actor {
                    return Err(Error::new(
                        ErrorKind::Forbidden,
                        "nobody sets their own role",
                    ));
                }
                Action::SetRole {
                    from: target(user)?,
                    to: *role,
                }
            }
        };
        if allowed(role, action) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Forbidden,
                "your role does not allow this",
            ))
        }
    }

    /// What a change that [`check`](Self::check) allowed alters. `epoch` is the change's own.
    #[must_use]
    pub fn delta(&self, actor: &UserId, change: &MemberChange, epoch: Epoch) -> MembersDelta {
        let mut delta = MembersDelta {
            conversation: self.conversation,
            base: self.epoch,
            epoch,
            title: self.title.clone(),
            history: self.history,
            upsert: Vec::new(),
            remove: Vec::new(),
        };
        let newcomer = |role, history| Member {
            role,
            since: epoch,
            visible_from: match history {
                HistoryStart::Beginning => Position::default(),
                HistoryStart::Joining => Position(epoch.0),
            },
        };
        match change {
            MemberChange::Create {
                title,
                members,
                history,
            } => {
                delta.title.clone_from(title);
                delta.history = *history;
                delta.upsert.push((
                    actor.clone(),
                    newcomer(Role::Owner, HistoryStart::Beginning),
                ));
                delta
                    .upsert
                    .extend(members.iter().filter(|user| *user != actor).map(|user| {
                        (
                            user.clone(),
                            newcomer(Role::Member, HistoryStart::Beginning),
                        )
                    }));
            }
            MemberChange::Rename { title } => delta.title.clone_from(title),
            MemberChange::Add { users } => delta.upsert.extend(
                users
                    .iter()
                    .filter(|user| !self.list.contains_key(*user))
                    .map(|user| (user.clone(), newcomer(Role::Member, self.history))),
            ),
            MemberChange::Remove { user } => delta.remove.push(user.clone()),
            MemberChange::Leave => {
                delta.remove.push(actor.clone());
                if self
                    .get(actor)
                    .is_some_and(|member| member.role == Role::Owner)
                    && let Some((heir, member)) = self.heir(actor)
                {
                    delta.upsert.push((
                        heir.clone(),
                        Member {
                            role: Role::Owner,
                            ..*member
                        },
                    ));
                }
            }
            MemberChange::Role { user, role } => {
                if let Some(member) = self.get(user) {
                    delta.upsert.push((
                        user.clone(),
                        Member {
                            role: *role,
                            ..*member
                        },
                    ));
                }
                if *role == Role::Owner
                    && let Some(member) = self.get(actor)
                {
                    delta.upsert.push((
                        actor.clone(),
                        Member {
                            role: Role::Admin,
                            ..*member
                        },
                    ));
                }
            }
        }
        delta
    }

    fn heir(&self, owner: &UserId) -> Option<(&UserId, &Member)> {
        self.list
            .iter()
            .filter(|(user, _)| *user != owner)
            .min_by_key(|(user, member)| (member.role != Role::Admin, member.since, *user))
    }

    /// These members with a delta applied.
    #[must_use]
    pub fn with(&self, delta: &MembersDelta) -> Self {
        let mut next = self.clone();
        next.epoch = delta.epoch;
        next.title.clone_from(&delta.title);
        next.history = delta.history;
        for (user, member) in &delta.upsert {
            next.list.insert(user.clone(), *member);
        }
        for user in &delta.remove {
            next.list.remove(user);
        }
        next
    }
}

/// How far a user has come in a conversation. Both only move forward, and `seen` pulls `delivered`
/// along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// The newest entry that reached a device of the user.
    pub delivered: Position,
    /// The newest entry that the user has seen.
    pub seen: Position,
}

impl Marks {
    /// The further of both, mark by mark.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let seen = self.seen.max(other.seen);
        Self {
            seen,
            delivered: self.delivered.max(other.delivered).max(seen),
        }
    }
}
