//! A store's conversations: members, marks and heads.

use std::sync::Arc;

use futures::future::try_join_all;

use super::fixture::{Log, client_id, group, rename, user};
use crate::error::{ErrorKind, Result};
use crate::model::limits::{MAX_CONVERSATIONS_PER_USER, MAX_UNLOGGED_CHANGES};
use crate::model::{
    ConversationId, ConversationKind, Entry, EntryId, Epoch, HistoryStart, Marks, Member, Members,
    MembersDelta, Position, Role, UserId,
};
use crate::ports::{Commit, Head, Inserted, MarkUpdate, Range, Store};

fn member(role: Role, since: u64, visible_from: u64) -> Member {
    Member {
        role,
        since: Epoch(since),
        visible_from: Position(visible_from),
    }
}

/// A change that makes these users members.
fn delta(id: ConversationId, base: u64, epoch: u64, users: &[&UserId]) -> MembersDelta {
    let new = member(Role::Member, epoch, 0);
    MembersDelta {
        conversation: id,
        base: Epoch(base),
        epoch: Epoch(epoch),
        title: format!("title {epoch}"),
        history: HistoryStart::Beginning,
        upsert: users.iter().map(|user| ((*user).clone(), new)).collect(),
        remove: Vec::new(),
    }
}

/// The entry of a change.
fn change(delta: &MembersDelta) -> Arc<Entry> {
    let sender = user("sender");
    let client_id = client_id(&format!("change {}", delta.epoch.0));
    Arc::new(Entry {
        conversation: delta.conversation,
        position: Position(delta.epoch.0),
        prev: None,
        epoch: delta.epoch,
        id: EntryId::derive(delta.conversation, &sender, &client_id),
        sender,
        client_id,
        body: rename(delta.base),
        incarnation: 1,
        relocated: false,
    })
}

async fn commit(store: &dyn Store, delta: MembersDelta) -> Result<Commit> {
    let entry = change(&delta);
    store.commit_members(delta, entry).await
}

async fn members(store: &dyn Store, id: ConversationId) -> Result<Members> {
    Ok(store
        .members(id)
        .await?
        .unwrap_or_else(|| Members::nobody(id)))
}

fn marks(delivered: u64, seen: u64) -> Marks {
    Marks {
        delivered: Position(delivered),
        seen: Position(seen),
    }
}

fn update(conversation: ConversationId, user: &UserId, marks: Marks) -> MarkUpdate {
    MarkUpdate {
        conversation,
        user: user.clone(),
        marks,
    }
}

/// A direct conversation of two new users.
async fn direct(store: &dyn Store) -> Result<(ConversationId, UserId, UserId)> {
    let (a, b) = (user("a"), user("b"));
    store.open_direct(a.clone(), b.clone()).await?;
    Ok((ConversationId::direct(&a, &b), a, b))
}

pub(super) async fn an_unknown_conversation_has_no_members(store: Arc<dyn Store>) -> Result<()> {
    assert_eq!(store.members(group()).await?, None);
    assert!(store.marks(group()).await?.is_empty());
    assert!(store.memberships(user("nobody")).await?.is_empty());
    Ok(())
}

pub(super) async fn a_direct_conversation_has_its_two_users(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, b) = direct(&*store).await?;
    assert_eq!(store.members(id).await?, Some(Members::direct(&a, &b)));
    for (user, peer) in [(&a, &b), (&b, &a)] {
        let memberships = store.memberships(user.clone()).await?;
        assert_eq!(memberships.len(), 1);
        assert_eq!(memberships[0].conversation, id);
        assert_eq!(memberships[0].kind, ConversationKind::Direct);
        assert_eq!(memberships[0].peer.as_ref(), Some(peer));
    }
    Ok(())
}

pub(super) async fn opening_a_direct_conversation_again_changes_nothing(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a, b) = direct(&*store).await?;
    store.mark(vec![update(id, &a, marks(5, 3))]).await?;
    store.open_direct(b.clone(), a.clone()).await?;
    assert_eq!(store.members(id).await?, Some(Members::direct(&a, &b)));
    let memberships = store.memberships(a).await?;
    assert_eq!(memberships.len(), 1);
    assert_eq!(memberships[0].marks, marks(5, 3));
    Ok(())
}

pub(super) async fn base_0_makes_a_group(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, b) = (group(), user("a"), user("b"));
    let mut create = delta(id, 0, 10, &[&b]);
    create.upsert.push((a.clone(), member(Role::Owner, 10, 0)));
    create.history = HistoryStart::Joining;
    assert_eq!(commit(&*store, create.clone()).await?, Commit::Committed);
    let made = members(&*store, id).await?;
    assert_eq!(made, Members::nobody(id).with(&create));
    assert_eq!(made.get(&a).map(|member| member.role), Some(Role::Owner));
    Ok(())
}

pub(super) async fn a_change_is_applied_completely(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, b, c) = (group(), user("a"), user("b"), user("c"));
    commit(&*store, delta(id, 0, 10, &[&a, &b])).await?;
    let before = members(&*store, id).await?;
    let change = MembersDelta {
        conversation: id,
        base: Epoch(10),
        epoch: Epoch(20),
        title: "another title".into(),
        history: HistoryStart::Joining,
        upsert: vec![
            (a.clone(), member(Role::Admin, 10, 0)),
            (c.clone(), member(Role::Member, 20, 20)),
        ],
        remove: vec![b.clone()],
    };
    assert_eq!(commit(&*store, change.clone()).await?, Commit::Committed);
    assert_eq!(members(&*store, id).await?, before.with(&change));
    Ok(())
}

pub(super) async fn a_change_of_another_base_is_a_conflict_and_changes_nothing(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a, b) = (group(), user("a"), user("b"));
    commit(&*store, delta(id, 0, 10, &[&a])).await?;
    commit(&*store, delta(id, 10, 20, &[])).await?;
    let before = members(&*store, id).await?;
    for base in [0, 10, 15, 25] {
        let conflict = commit(&*store, delta(id, base, 30, &[&b])).await?;
        assert_eq!(conflict, Commit::Conflict { epoch: Epoch(20) });
    }
    assert_eq!(members(&*store, id).await?, before);
    assert!(store.memberships(b).await?.is_empty());
    Ok(())
}

pub(super) async fn a_change_of_an_unknown_group_is_a_conflict(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a) = (group(), user("a"));
    let conflict = commit(&*store, delta(id, 10, 20, &[&a])).await?;
    assert_eq!(conflict, Commit::Conflict { epoch: Epoch(0) });
    assert_eq!(store.members(id).await?, None);
    Ok(())
}

pub(super) async fn a_repeated_change_is_recognised_after_63_others(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a, b) = (group(), user("a"), user("b"));
    commit(&*store, delta(id, 0, 10, &[&a])).await?;
    let first = delta(id, 10, 11, &[&b]);
    assert_eq!(commit(&*store, first.clone()).await?, Commit::Committed);
    assert_eq!(commit(&*store, first.clone()).await?, Commit::Repeat);
    let removal = MembersDelta {
        remove: vec![b],
        ..delta(id, 11, 12, &[])
    };
    commit(&*store, removal).await?;
    for epoch in 13..13 + 62 {
        store.insert(store.unlogged(id).await?).await?;
        commit(&*store, delta(id, epoch - 1, epoch, &[])).await?;
    }
    let before = members(&*store, id).await?;
    assert_eq!(commit(&*store, first).await?, Commit::Repeat);
    assert_eq!(members(&*store, id).await?, before);
    Ok(())
}

pub(super) async fn of_concurrent_changes_of_one_base_one_is_applied(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a) = (group(), user("a"));
    commit(&*store, delta(id, 0, 10, &[&a])).await?;
    let users: Vec<_> = (0..8).map(|_| user("new")).collect();
    let commits = users.iter().zip(20..);
    let commits = commits.map(|(user, epoch)| commit(&*store, delta(id, 10, epoch, &[user])));
    let commits = try_join_all(commits).await?;
    let committed = commits
        .iter()
        .filter(|commit| **commit == Commit::Committed)
        .count();
    assert_eq!(committed, 1, "{commits:?}");
    let members = members(&*store, id).await?;
    assert_eq!(members.list.len(), 2);
    for (user, commit) in users.iter().zip(commits) {
        assert_eq!(members.get(user).is_some(), commit == Commit::Committed);
    }
    Ok(())
}

pub(super) async fn memberships_tell_all_of_a_users_conversations(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (direct, a, _) = direct(&*store).await?;
    let log = Log::new();
    let mut create = delta(log.id, 0, 10, &[]);
    create.upsert.push((a.clone(), member(Role::Owner, 10, 4)));
    commit(&*store, create).await?;
    store.mark(vec![update(log.id, &a, marks(9, 8))]).await?;
    let head = Head {
        position: Position(12),
        last_message: Some(log.entry(11, "1")),
    };
    store.set_heads(vec![(log.id, head.clone())]).await?;
    let mut memberships = store.memberships(a).await?;
    memberships.sort_by_key(|membership| membership.conversation != log.id);
    assert_eq!(memberships.len(), 2);
    assert_eq!(memberships[1].conversation, direct);
    assert_eq!(memberships[1].head, None);
    let in_group = &memberships[0];
    assert_eq!(in_group.kind, ConversationKind::Group);
    assert_eq!(in_group.epoch, Epoch(10));
    assert_eq!(in_group.title, "title 10");
    assert_eq!(in_group.peer, None);
    assert_eq!(in_group.member, member(Role::Owner, 10, 4));
    assert_eq!(in_group.marks, marks(9, 8));
    assert_eq!(in_group.head, Some(head));
    Ok(())
}

pub(super) async fn a_removed_member_has_no_membership(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, b) = (group(), user("a"), user("b"));
    commit(&*store, delta(id, 0, 10, &[&a, &b])).await?;
    store.mark(vec![update(id, &b, marks(9, 9))]).await?;
    let removal = MembersDelta {
        remove: vec![b.clone()],
        ..delta(id, 10, 20, &[])
    };
    commit(&*store, removal).await?;
    assert!(store.memberships(b.clone()).await?.is_empty());
    assert_eq!(store.memberships(a.clone()).await?.len(), 1);
    assert!(store.marks(id).await?.iter().all(|(user, _)| *user != b));
    // Who comes back has the old marks.
    commit(&*store, delta(id, 20, 30, &[&b])).await?;
    assert_eq!(held(&*store, id, &b).await?, marks(9, 9));
    Ok(())
}

pub(super) async fn a_changes_entry_is_kept_until_it_is_stored(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a) = (group(), user("a"));
    assert!(store.unlogged(id).await?.is_empty());
    let deltas = [delta(id, 0, 10, &[&a]), delta(id, 10, 20, &[])];
    let entries: Vec<_> = deltas.iter().map(change).collect();
    for (delta, entry) in deltas.iter().zip(&entries) {
        store.commit_members(delta.clone(), entry.clone()).await?;
    }
    assert_eq!(store.unlogged(id).await?, entries);
    assert!(store.page(id, Range::OLDEST, 10).await?.is_empty());
    store.insert(vec![entries[0].clone()]).await?;
    assert_eq!(store.unlogged(id).await?, entries[1..]);
    // Repeats bring none back.
    store
        .commit_members(deltas[0].clone(), entries[0].clone())
        .await?;
    store.insert(vec![entries[1].clone()]).await?;
    assert!(store.unlogged(id).await?.is_empty());
    Ok(())
}

pub(super) async fn a_conflicting_changes_entry_is_not_kept(store: Arc<dyn Store>) -> Result<()> {
    let id = group();
    let conflict = commit(&*store, delta(id, 10, 20, &[])).await?;
    assert_eq!(conflict, Commit::Conflict { epoch: Epoch(0) });
    assert!(store.unlogged(id).await?.is_empty());
    Ok(())
}

pub(super) async fn a_changes_entry_whose_position_is_taken_is_kept(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (log, a) = (Log::new(), user("a"));
    store.insert(vec![log.entry(10, "first")]).await?;
    let create = delta(log.id, 0, 10, &[&a]);
    let entry = change(&create);
    store.commit_members(create, entry.clone()).await?;
    assert_eq!(store.insert(vec![entry.clone()]).await?, [Inserted::Taken]);
    assert_eq!(store.unlogged(log.id).await?, std::slice::from_ref(&entry));
    let moved = Arc::new(Entry {
        position: Position(11),
        ..(*entry).clone()
    });
    store.relocate(moved).await?;
    assert!(store.unlogged(log.id).await?.is_empty());
    Ok(())
}

pub(super) async fn unlogged_changes_are_bounded(store: Arc<dyn Store>) -> Result<()> {
    let (id, a) = (group(), user("a"));
    let mut epoch = 0;
    for _ in 0..MAX_UNLOGGED_CHANGES {
        commit(&*store, delta(id, epoch, epoch + 10, &[&a])).await?;
        epoch += 10;
    }
    let full = commit(&*store, delta(id, epoch, epoch + 10, &[&a])).await;
    assert_eq!(full.map_err(|error| error.kind()), Err(ErrorKind::Busy));
    store.insert(store.unlogged(id).await?).await?;
    commit(&*store, delta(id, epoch, epoch + 10, &[&a])).await?;
    Ok(())
}

pub(super) async fn memberships_are_bounded(store: Arc<dyn Store>) -> Result<()> {
    let busy = user("busy");
    for _ in 0..10 {
        let opens = 0..=MAX_CONVERSATIONS_PER_USER / 10;
        let opens = opens.map(|_| store.open_direct(busy.clone(), user("other")));
        try_join_all(opens).await?;
    }
    assert_eq!(
        store.memberships(busy).await?.len(),
        MAX_CONVERSATIONS_PER_USER
    );
    Ok(())
}

/// The marks that a store holds of a user.
async fn held(store: &dyn Store, id: ConversationId, user: &UserId) -> Result<Marks> {
    let marks = store.marks(id).await?;
    let held = marks.into_iter().find(|(other, _)| other == user);
    Ok(held.map(|(_, marks)| marks).unwrap_or_default())
}

pub(super) async fn marks_only_move_forward(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, _) = direct(&*store).await?;
    store.mark(vec![update(id, &a, marks(10, 4))]).await?;
    store.mark(vec![update(id, &a, marks(7, 5))]).await?;
    assert_eq!(held(&*store, id, &a).await?, marks(10, 5));
    store
        .mark(vec![
            update(id, &a, marks(11, 2)),
            update(id, &a, marks(3, 3)),
        ])
        .await?;
    assert_eq!(held(&*store, id, &a).await?, marks(11, 5));
    Ok(())
}

pub(super) async fn a_seen_mark_pulls_delivered_along(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, _) = direct(&*store).await?;
    store.mark(vec![update(id, &a, marks(2, 6))]).await?;
    assert_eq!(held(&*store, id, &a).await?, marks(6, 6));
    Ok(())
}

pub(super) async fn marks_of_strangers_are_not_shown(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, _) = direct(&*store).await?;
    let stranger = user("stranger");
    let unknown = group();
    let updates = vec![
        update(id, &stranger, marks(9, 9)),
        update(unknown, &a, marks(9, 9)),
        update(id, &a, marks(1, 1)),
    ];
    store.mark(updates).await?;
    assert!(
        store
            .marks(id)
            .await?
            .iter()
            .all(|(user, _)| *user != stranger)
    );
    assert_eq!(held(&*store, id, &a).await?, marks(1, 1));
    assert!(store.memberships(stranger).await?.is_empty());
    assert_eq!(store.members(unknown).await?, None);
    Ok(())
}

pub(super) async fn marks_come_by_user(store: Arc<dyn Store>) -> Result<()> {
    let id = group();
    let mut users: Vec<_> = (0..5).map(|_| user("member")).collect();
    let new: Vec<_> = users.iter().rev().collect();
    commit(&*store, delta(id, 0, 10, &new)).await?;
    let updates = users
        .iter()
        .zip(1..)
        .map(|(user, n)| update(id, user, marks(n + 10, n)));
    store.mark(updates.collect()).await?;
    let mut expected: Vec<_> = users
        .drain(..)
        .zip(1..)
        .map(|(user, n)| (user, marks(n + 10, n)))
        .collect();
    expected.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(store.marks(id).await?, expected);
    Ok(())
}

pub(super) async fn concurrent_marks_keep_the_furthest(store: Arc<dyn Store>) -> Result<()> {
    let (id, a, _) = direct(&*store).await?;
    let updates = (1..=32).map(|n| store.mark(vec![update(id, &a, marks(100 - n, n))]));
    try_join_all(updates).await?;
    assert_eq!(held(&*store, id, &a).await?, marks(99, 32));
    Ok(())
}

pub(super) async fn heads_only_move_forward(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let a = user("a");
    commit(&*store, delta(log.id, 0, 10, &[&a])).await?;
    let head = |position, message: Option<u64>| Head {
        position: Position(position),
        last_message: message.map(|at| log.entry(at, &format!("{at}"))),
    };
    let steps = [
        (head(5, Some(5)), head(5, Some(5))),
        (head(9, None), head(9, Some(5))),
        (head(7, Some(7)), head(9, Some(7))),
        (head(8, Some(6)), head(9, Some(7))),
    ];
    for (set, expected) in steps {
        store.set_heads(vec![(log.id, set)]).await?;
        let memberships = store.memberships(a.clone()).await?;
        assert_eq!(memberships[0].head, Some(expected));
    }
    Ok(())
}

pub(super) async fn heads_of_unknown_conversations_are_not_shown(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (id, a, _) = direct(&*store).await?;
    let unknown = group();
    let head = Head {
        position: Position(3),
        last_message: None,
    };
    store
        .set_heads(vec![(unknown, head.clone()), (id, head.clone())])
        .await?;
    assert_eq!(store.members(unknown).await?, None);
    assert_eq!(store.memberships(a).await?[0].head, Some(head));
    Ok(())
}
