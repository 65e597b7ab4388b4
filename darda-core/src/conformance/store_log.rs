//! A store's log.

use std::sync::Arc;

use futures::future::try_join_all;

use super::fixture::{Log, client_id, positions};
use crate::error::Result;
use crate::model::{Body, Entry, EntryId, Epoch, Message, Position};
use crate::ports::{Inserted, Range, Relocated, Store};

pub(super) async fn an_inserted_entry_reads_back_as_it_was(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let message = Message::text("text with ünicode \u{1f600} and \"quotes\"")
        .with_reply_to(EntryId::from_bytes([200; 16]))
        .with_mentions([log.sender.clone()])
        .with_metadata("{\"a\":1}");
    let target = EntryId::from_bytes([3; 16]);
    let bodies = [
        Body::Message(message.clone()),
        Body::Edit { target, message },
        Body::Delete { target },
        Body::React {
            target,
            reaction: "\u{1f600}".into(),
        },
        Body::Unreact {
            target,
            reaction: "x".into(),
        },
        super::fixture::rename(Epoch(3)),
        Body::Opaque((0..=255_u8).collect()),
    ];
    let entries = bodies.into_iter().zip(1_u64..).map(|(body, number)| {
        let position = (1 << 50) + number;
        let entry = (*log.entry(position, &format!("{number}"))).clone();
        let prev = (number > 1).then(|| Position(position - 1));
        Arc::new(Entry {
            body,
            prev,
            epoch: Epoch(position),
            incarnation: u64::MAX / 2,
            relocated: true,
            ..entry
        })
    });
    let entries: Vec<_> = entries.collect();
    store.insert(entries.clone()).await?;
    assert_eq!(store.page(log.id, Range::OLDEST, 10).await?, entries);
    Ok(())
}

pub(super) async fn a_second_insert_is_a_repeat(store: Arc<dyn Store>) -> Result<()> {
    let entry = Log::new().entry(1, "1");
    assert_eq!(store.insert(vec![entry.clone()]).await?, [Inserted::New]);
    assert_eq!(store.insert(vec![entry]).await?, [Inserted::Repeat]);
    Ok(())
}

pub(super) async fn an_id_at_another_position_is_a_duplicate(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    store
        .insert(vec![log.entry(5, "1"), log.entry(6, "2")])
        .await?;
    let duplicate = Inserted::Duplicate {
        stands: Position(5),
    };
    assert_eq!(store.insert(vec![log.entry(9, "1")]).await?, [duplicate]);
    // The id decides also where the position is another's.
    assert_eq!(store.insert(vec![log.entry(6, "1")]).await?, [duplicate]);
    assert_eq!(
        positions(&store.page(log.id, Range::OLDEST, 10).await?),
        [5, 6]
    );
    Ok(())
}

pub(super) async fn a_taken_position_is_refused(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let first = log.entry(5, "1");
    let second = log.entry(5, "2");
    store.insert(vec![first.clone()]).await?;
    assert_eq!(store.insert(vec![second.clone()]).await?, [Inserted::Taken]);
    assert_eq!(store.page(log.id, Range::OLDEST, 10).await?, [first]);
    assert_eq!(store.find(log.id, second.id).await?, None);
    Ok(())
}

pub(super) async fn a_refused_entry_does_not_keep_the_others_from_being_stored(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (log, other) = (Log::new(), Log::new());
    store
        .insert(vec![log.entry(1, "1"), log.entry(2, "2")])
        .await?;
    let batch = vec![
        log.entry(3, "3"),
        log.entry(2, "taken"),
        other.entry(1, "1"),
        log.entry(9, "1"),
        log.entry(2, "2"),
        log.entry(4, "4"),
    ];
    use Inserted::{Duplicate, New, Repeat, Taken};
    let stands = Position(1);
    let expected = [New, Taken, New, Duplicate { stands }, Repeat, New];
    assert_eq!(store.insert(batch).await?, expected);
    assert_eq!(
        positions(&store.page(log.id, Range::OLDEST, 10).await?),
        [1, 2, 3, 4]
    );
    assert_eq!(
        positions(&store.page(other.id, Range::OLDEST, 10).await?),
        [1]
    );
    Ok(())
}

pub(super) async fn repeats_within_one_batch_are_recognised(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let batch = vec![
        log.entry(1, "1"),
        log.entry(1, "1"),
        log.entry(2, "1"),
        log.entry(1, "2"),
    ];
    let inserted = store.insert(batch).await?;
    let duplicate = Inserted::Duplicate {
        stands: Position(1),
    };
    assert_eq!(
        inserted,
        [Inserted::New, Inserted::Repeat, duplicate, Inserted::Taken]
    );
    assert!(store.insert(Vec::new()).await?.is_empty());
    Ok(())
}

pub(super) async fn concurrent_inserts_of_one_id_store_one(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let inserts = (1..=16).map(|position| store.insert(vec![log.entry(position, "1")]));
    let inserted = try_join_all(inserts).await?.concat();
    let new = inserted
        .iter()
        .filter(|inserted| **inserted == Inserted::New)
        .count();
    assert_eq!(new, 1, "{inserted:?}");
    let page = store.page(log.id, Range::OLDEST, 100).await?;
    assert_eq!(page.len(), 1);
    let stands = Inserted::Duplicate {
        stands: page[0].position,
    };
    let others = inserted
        .iter()
        .filter(|inserted| **inserted == stands)
        .count();
    assert_eq!(others, 15, "{inserted:?}");
    Ok(())
}

pub(super) async fn logs_are_apart(store: Arc<dyn Store>) -> Result<()> {
    let (log, other) = (Log::new(), Log::new());
    let entry = log.entry(1, "1");
    // The same id and position, as only a forger makes them.
    let same = Arc::new(Entry {
        conversation: other.id,
        ..(*entry).clone()
    });
    let inserted = store.insert(vec![entry.clone(), same.clone()]).await?;
    assert_eq!(inserted, [Inserted::New; 2]);
    assert_eq!(
        store.page(log.id, Range::NEWEST, 10).await?,
        std::slice::from_ref(&entry)
    );
    assert_eq!(store.page(other.id, Range::OLDEST, 10).await?, [same]);
    assert!(
        store
            .page(Log::new().id, Range::OLDEST, 10)
            .await?
            .is_empty()
    );
    Ok(())
}

pub(super) async fn a_page_after_gives_the_next_entries(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    store.insert(log.entries(20)).await?;
    let page = store.page(log.id, Range::After(Position(5)), 4).await?;
    assert_eq!(positions(&page), [6, 7, 8, 9]);
    let page = store.page(log.id, Range::After(Position(18)), 4).await?;
    assert_eq!(positions(&page), [19, 20]);
    assert_eq!(
        positions(&store.page(log.id, Range::OLDEST, 2).await?),
        [1, 2]
    );
    Ok(())
}

pub(super) async fn a_page_before_gives_the_newest_entries(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    store.insert(log.entries(20)).await?;
    let page = store.page(log.id, Range::Before(Position(15)), 4).await?;
    assert_eq!(positions(&page), [11, 12, 13, 14]);
    let page = store.page(log.id, Range::Before(Position(3)), 4).await?;
    assert_eq!(positions(&page), [1, 2]);
    assert_eq!(
        positions(&store.page(log.id, Range::NEWEST, 2).await?),
        [19, 20]
    );
    Ok(())
}

pub(super) async fn a_page_leaves_out_its_end_point(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    store.insert(log.entries(3)).await?;
    let after = store.page(log.id, Range::After(Position(3)), 10).await?;
    let before = store.page(log.id, Range::Before(Position(1)), 10).await?;
    assert!(after.is_empty() && before.is_empty());
    let before = store.page(log.id, Range::Before(Position(0)), 10).await?;
    let after = store
        .page(log.id, Range::After(Position(u64::MAX / 2)), 10)
        .await?;
    assert!(after.is_empty() && before.is_empty());
    Ok(())
}

pub(super) async fn pages_put_together_are_the_log(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    // Positions jump.
    let entries = (0..500_u64).map(|number| log.entry(7 + number * number, &format!("{number}")));
    let entries: Vec<_> = entries.collect();
    store.insert(entries.clone()).await?;
    let (mut forward, mut after) = (Vec::new(), Position(0));
    loop {
        let page = store.page(log.id, Range::After(after), 64).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        forward.extend(page);
    }
    assert_eq!(positions(&forward), positions(&entries));
    let (mut backward, mut before) = (Vec::new(), Range::NEWEST);
    loop {
        let page = store.page(log.id, before, 64).await?;
        let Some(first) = page.first() else { break };
        before = Range::Before(first.position);
        backward.extend(page.into_iter().rev());
    }
    backward.reverse();
    assert_eq!(positions(&backward), positions(&entries));
    Ok(())
}

pub(super) async fn entries_stored_out_of_order_read_in_order(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let mut entries = log.entries(10);
    entries.reverse();
    store.insert(entries).await?;
    let page = store.page(log.id, Range::NEWEST, 10).await?;
    assert_eq!(positions(&page), (1..=10).collect::<Vec<_>>());
    Ok(())
}

pub(super) async fn find_gives_an_entry_or_nothing(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let entry = log.entry(1, "1");
    store.insert(vec![entry.clone()]).await?;
    assert_eq!(store.find(log.id, entry.id).await?, Some(entry.clone()));
    let unknown = EntryId::derive(log.id, &log.sender, &client_id("2"));
    assert_eq!(store.find(log.id, unknown).await?, None);
    assert_eq!(store.find(Log::new().id, entry.id).await?, None);
    Ok(())
}

/// A log with entries at 1, 2 and 3, of which the second has moved to 9.
async fn relocated(store: &dyn Store) -> Result<(Log, Arc<Entry>)> {
    let log = Log::new();
    store.insert(log.entries(3)).await?;
    let entry = log.entry(9, "2");
    let left = Some(Position(2));
    assert_eq!(
        store.relocate(entry.clone()).await?,
        Relocated::Stands { left }
    );
    Ok((log, entry))
}

pub(super) async fn a_relocated_entry_is_at_its_new_position_only(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (log, entry) = relocated(&*store).await?;
    let page = store.page(log.id, Range::OLDEST, 10).await?;
    assert_eq!(page, [log.entry(1, "1"), log.entry(3, "3"), entry.clone()]);
    assert_eq!(store.find(log.id, entry.id).await?, Some(entry));
    Ok(())
}

pub(super) async fn relocating_again_changes_nothing(store: Arc<dyn Store>) -> Result<()> {
    let (log, entry) = relocated(&*store).await?;
    let stands = Relocated::Stands { left: None };
    assert_eq!(store.relocate(entry).await?, stands);
    assert_eq!(
        positions(&store.page(log.id, Range::OLDEST, 10).await?),
        [1, 3, 9]
    );
    Ok(())
}

pub(super) async fn an_entry_is_never_relocated_back(store: Arc<dyn Store>) -> Result<()> {
    let (log, _) = relocated(&*store).await?;
    let beyond = Relocated::Beyond {
        stands: Position(9),
    };
    assert_eq!(store.relocate(log.entry(8, "2")).await?, beyond);
    assert_eq!(
        positions(&store.page(log.id, Range::OLDEST, 10).await?),
        [1, 3, 9]
    );
    Ok(())
}

pub(super) async fn an_entry_is_not_relocated_to_a_taken_position(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (log, entry) = relocated(&*store).await?;
    assert_eq!(store.relocate(log.entry(9, "1")).await?, Relocated::Taken);
    let page = store.page(log.id, Range::OLDEST, 10).await?;
    assert_eq!(page, [log.entry(1, "1"), log.entry(3, "3"), entry]);
    Ok(())
}

pub(super) async fn relocating_an_unknown_entry_stores_it(store: Arc<dyn Store>) -> Result<()> {
    let log = Log::new();
    let entry = log.entry(5, "1");
    let stands = Relocated::Stands { left: None };
    assert_eq!(store.relocate(entry.clone()).await?, stands);
    assert_eq!(store.page(log.id, Range::OLDEST, 10).await?, [entry]);
    Ok(())
}

pub(super) async fn a_relocated_entry_inserted_at_its_old_position_is_a_duplicate(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (log, entry) = relocated(&*store).await?;
    let inserted = store.insert(vec![log.entry(2, "2"), entry]).await?;
    let duplicate = Inserted::Duplicate {
        stands: Position(9),
    };
    assert_eq!(inserted, [duplicate, Inserted::Repeat]);
    Ok(())
}

pub(super) async fn a_relocated_entrys_old_position_is_free(store: Arc<dyn Store>) -> Result<()> {
    let (log, _) = relocated(&*store).await?;
    assert_eq!(
        store.insert(vec![log.entry(2, "new")]).await?,
        [Inserted::New]
    );
    Ok(())
}
