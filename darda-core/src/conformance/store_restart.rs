//! A store of which a process dies.

use super::Disturbed;
use super::fixture::{Log, persist, user};
use crate::error::Result;
use crate::model::{ConversationId, Marks, Members, Position};
use crate::ports::{Inserted, MarkUpdate, Range, Store};

pub(super) async fn what_was_stored_survives(store: Disturbed<dyn Store>) -> Result<()> {
    let log = Log::new();
    let entries = log.entries(50);
    store.port.insert(entries.clone()).await?;
    (store.disturb)().await;
    let page = persist(|| store.port.page(log.id, Range::OLDEST, 100)).await?;
    assert_eq!(page, entries);
    let again = persist(|| store.port.insert(entries.clone())).await?;
    assert_eq!(again, [Inserted::Repeat; 50]);
    Ok(())
}

pub(super) async fn what_members_changed_survives(store: Disturbed<dyn Store>) -> Result<()> {
    let (a, b) = (user("a"), user("b"));
    let conversation = ConversationId::direct(&a, &b);
    store.port.open_direct(a.clone(), b.clone()).await?;
    let marks = Marks {
        delivered: Position(2),
        seen: Position(1),
    };
    store
        .port
        .mark(vec![MarkUpdate {
            conversation,
            user: a.clone(),
            marks,
        }])
        .await?;
    store.port.block(a.clone(), b.clone()).await?;
    (store.disturb)().await;
    let members = persist(|| store.port.members(conversation)).await?;
    assert_eq!(members, Some(Members::direct(&a, &b)));
    let held = persist(|| store.port.marks(conversation)).await?;
    assert!(held.contains(&(a.clone(), marks)));
    assert!(persist(|| store.port.blocked_between(a.clone(), b.clone())).await?);
    Ok(())
}
