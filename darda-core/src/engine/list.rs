//! The list of a user's conversations.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use super::node::Node;
use super::registered::SessionCore;
use super::surface::{ConversationSummary, Unread};
use crate::error::{Error, ErrorKind, Result};
use crate::model::limits::{MAX_LIST_PAGE, MAX_UNREAD};
use crate::model::{ConversationId, ConversationKind, Position};
use crate::ports::{Head, Membership, Range};

/// Conversations of a page that are read at once.
const READ_AT_ONCE: usize = 16;

impl Node {
    pub(crate) async fn conversations(
        self: &Arc<Self>,
        session: &SessionCore,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<ConversationSummary>> {
        if limit == 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a page holds at least one conversation",
            ));
        }
        let mut known = self.list(session).await?;
        known.retain(|(membership, head)| {
            before.is_none_or(|before| sort_key(membership, head.as_ref()) < before)
        });
        known.sort_by_key(|(membership, head)| {
            (
                Reverse(sort_key(membership, head.as_ref())),
                membership.conversation,
            )
        });
        cut(&mut known, limit.min(MAX_LIST_PAGE));
        let summaries = known
            .into_iter()
            .map(|(membership, head)| self.summary(session, membership, head));
        let mut reads = futures::stream::iter(summaries).buffered(READ_AT_ONCE);
        let mut list = Vec::new();
        while let Some(summary) = reads.next().await {
            list.push(summary?);
        }
        Ok(list)
    }

    /// A user's conversations with the newest of both heads: the writer's and the cache's. The cache's
    /// are read first: who is a member by the list was one when they were read.
    pub(crate) async fn list(
        &self,
        session: &SessionCore,
    ) -> Result<Vec<(Membership, Option<Head>)>> {
        let mut asked = session.conversations();
        loop {
            let heads = self
                .ports
                .cache
                .heads(asked.iter().copied().collect())
                .await;
            let memberships = self.ports.store.memberships(session.user.clone()).await?;
            let known = asked.len();
            asked.extend(memberships.iter().map(|membership| membership.conversation));
            if heads.is_ok() && asked.len() > known {
                continue;
            }
            let heads = heads.unwrap_or_default();
            let mut cached: BTreeMap<_, _> = asked.into_iter().zip(heads).collect();
            let newest = |membership: Membership| {
                let cached = cached.remove(&membership.conversation).flatten();
                let head = match (membership.head.clone(), cached) {
                    (Some(stored), Some(cached)) => Some(stored.max(cached)),
                    (stored, cached) => stored.or(cached),
                };
                (membership, head)
            };
            return Ok(memberships.into_iter().map(newest).collect());
        }
    }

    async fn summary(
        self: &Arc<Self>,
        session: &SessionCore,
        membership: Membership,
        head: Option<Head>,
    ) -> Result<ConversationSummary> {
        let conversation = membership.conversation;
        let position = head.as_ref().map(|head| head.position);
        let seen = membership.marks.seen;
        let unread = match position {
            Some(position) if position > seen => {
                match session.unread(conversation, position, seen) {
                    Some(unread) => unread,
                    None => match self.count_unread(session, conversation, seen).await {
                        // The list comes without exact numbers rather than not at all.
                        Err(error)
                            if error.is_transient() || error.kind() == ErrorKind::NotFound =>
                        {
                            Unread {
                                count: 0,
                                more: true,
                            }
                        }
                        unread => {
                            let unread = unread?;
                            session.remember_unread(conversation, position, seen, unread);
                            unread
                        }
                    },
                }
            }
            _ => Unread::default(),
        };
        // What was appended under a later membership may be hidden from the user.
        let last_message = head.and_then(|head| head.last_message).filter(|entry| {
            entry.position >= membership.member.visible_from
                && (membership.kind == ConversationKind::Direct || entry.epoch <= membership.epoch)
        });
        Ok(ConversationSummary {
            conversation,
            kind: membership.kind,
            title: membership.title,
            peer: membership.peer,
            role: membership.member.role,
            head: position,
            last_message,
            marks: membership.marks,
            unread,
        })
    }

    async fn count_unread(
        self: &Arc<Self>,
        session: &SessionCore,
        conversation: ConversationId,
        seen: Position,
    ) -> Result<Unread> {
        let range = Range::After(seen);
        let reading = self
            .read(conversation, &session.user, range, MAX_UNREAD)
            .await?;
        let others = reading.entries.iter();
        let count = others
            .filter(|entry| entry.body.is_message() && entry.sender != session.user)
            .count();
        let more = reading.more || reading.missing.is_some();
        Ok(Unread {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            more,
        })
    }
}

/// Where a conversation stands in the list: at its newest entry, or where its membership began.
fn sort_key(membership: &Membership, head: Option<&Head>) -> Position {
    head.map_or(Position(membership.epoch.0), |head| head.position)
}

/// Cuts a sorted list to a page. Those that stand where the page's last one does come with it: the
/// next page begins below that place.
fn cut(known: &mut Vec<(Membership, Option<Head>)>, limit: usize) {
    let key = |(membership, head): &(Membership, Option<Head>)| sort_key(membership, head.as_ref());
    if let Some(last) = limit
        .checked_sub(1)
        .and_then(|last| known.get(last))
        .map(key)
    {
        let end = known.partition_point(|one| key(one) >= last);
        known.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Epoch, Marks, Member, Role, UserId};

    fn known(heads: &[u64]) -> Vec<(Membership, Option<Head>)> {
        let user = |number: usize| UserId::new(format!("user {number}")).unwrap();
        let one = |(number, head): (usize, &u64)| {
            let membership = Membership {
                conversation: ConversationId::direct(&user(0), &user(number + 1)),
                kind: ConversationKind::Direct,
                epoch: Epoch::default(),
                title: String::new(),
                peer: Some(user(number + 1)),
                member: Member {
                    role: Role::Member,
                    since: Epoch::default(),
                    visible_from: Position(0),
                },
                marks: Marks::default(),
                head: None,
            };
            let head = Head {
                position: Position(*head),
                last_message: None,
            };
            (membership, Some(head))
        };
        heads.iter().enumerate().map(one).collect()
    }

    fn page(heads: &[u64], limit: usize) -> usize {
        let mut known = known(heads);
        cut(&mut known, limit);
        known.len()
    }

    #[test]
    fn a_page_ends_at_its_limit() {
        assert_eq!(page(&[9, 8, 7, 6], 2), 2);
        assert_eq!(page(&[9, 8], 5), 2);
        assert_eq!(page(&[], 5), 0);
    }

    #[test]
    fn conversations_with_the_head_of_a_pages_last_one_come_with_it() {
        assert_eq!(page(&[9, 8, 8, 8, 7], 2), 4);
    }
}
