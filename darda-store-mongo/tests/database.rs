//! What the contract's cases cannot see: documents, indexes, plans, and what was left half done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it speaks for tests"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use darda_core::ErrorKind;
use darda_core::model::{
    Body, ClientId, ConversationId, Entry, EntryId, Epoch, HistoryStart, Marks, Member,
    MemberChange, Members, MembersDelta, Position, Role, UserId,
};
use darda_core::ports::{Commit, Inserted, MarkUpdate, Range, Relocated, Store};
use darda_core::resilience::{Resilience, ResilientStore};
use darda_store_mongo::{MongoConfig, MongoStore};
use futures::future::try_join_all;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, Collection, IndexModel};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn group() -> ConversationId {
    ConversationId::group(&user("alice"), &ClientId::new("group").unwrap())
}

fn entry(position: u64, client_id: &str, body: impl Into<Body>) -> Arc<Entry> {
    let (conversation, sender) = (group(), user("alice"));
    let client_id = ClientId::new(client_id).unwrap();
    Arc::new(Entry {
        conversation,
        position: Position(position),
        prev: None,
        epoch: Epoch(0),
        id: EntryId::derive(conversation, &sender, &client_id),
        sender,
        client_id,
        body: body.into(),
        incarnation: 1,
        relocated: false,
    })
}

/// A change that makes these users members, and its entry.
fn change(base: u64, epoch: u64, users: &[UserId]) -> (MembersDelta, Arc<Entry>) {
    let member = Member {
        role: Role::Member,
        since: Epoch(epoch),
        visible_from: Position(0),
    };
    let delta = MembersDelta {
        conversation: group(),
        base: Epoch(base),
        epoch: Epoch(epoch),
        title: format!("$title.{epoch}"),
        history: HistoryStart::Beginning,
        upsert: users.iter().map(|user| (user.clone(), member)).collect(),
        remove: Vec::new(),
    };
    let title = "$e".into();
    let body = Body::Members {
        base: Epoch(base),
        change: MemberChange::Rename { title },
    };
    (delta, entry(epoch, &format!("change {epoch}"), body))
}

fn positions(page: &[Arc<Entry>]) -> Vec<u64> {
    page.iter().map(|entry| entry.position.0).collect()
}

async fn page(store: &MongoStore) -> Vec<Arc<Entry>> {
    store.page(group(), Range::OLDEST, 200).await.unwrap()
}

async fn index(entries: &Collection<Document>, name: &str, unique: bool) {
    let options = IndexOptions::builder()
        .name(name.to_owned())
        .unique(unique.then_some(true))
        .build();
    let model = IndexModel::builder()
        .keys(doc! { "c": 1, "i": 1 })
        .options(options)
        .build();
    entries.create_index(model).await.unwrap();
}

/// A database of one's own and its entries; `None` where there is no server.
async fn fresh() -> Option<(MongoConfig, Collection<Document>)> {
    let url = support::url_or_skip()?;
    let config = support::config(&url);
    let entries = support::database(&url, &config).await;
    Some((config, entries.collection("entries")))
}

#[tokio::test]
async fn an_entry_is_stored_once_also_by_a_writer_that_is_not_ours() {
    let Some((config, entries)) = fresh().await else {
        return;
    };
    let store = support::ready(config).await;
    store.insert(vec![entry(1, "1", "text")]).await.unwrap();
    let mut copy = entries.find_one(doc! {}).await.unwrap().unwrap();
    copy.insert("_id", "elsewhere");
    assert!(entries.insert_one(copy).await.is_err());
}

#[tokio::test]
async fn a_wrong_index_is_named_and_keeps_entries_out_until_it_is_put_right() {
    let Some((config, entries)) = fresh().await else {
        return;
    };
    index(&entries, "darda_entry_id", false).await;
    let store = MongoStore::connect(config).await.unwrap();
    let error = store.ready().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("darda_entry_id of entries"),
        "{error}"
    );
    for refused in [
        store.insert(vec![entry(1, "1", "text")]).await.unwrap_err(),
        store.relocate(entry(1, "1", "text")).await.unwrap_err(),
    ] {
        assert_eq!(refused.to_string(), error.to_string());
        assert!(!refused.was_asked());
    }
    assert_eq!(entries.count_documents(doc! {}).await.unwrap(), 0);
    // Without what it indexes: the driver takes FerretDB's answer to `dropIndexes` for none.
    entries.drop().await.unwrap();
    let insert = async || store.insert(vec![entry(1, "1", "text")]).await;
    assert_eq!(support::until_ok(insert).await, [Inserted::New]);
}

#[tokio::test]
async fn an_index_that_does_the_same_under_another_name_is_taken() {
    let Some((config, entries)) = fresh().await else {
        return;
    };
    index(&entries, "made by the operator", true).await;
    support::ready(config).await;
    let names = entries.list_index_names().await.unwrap();
    assert!(!names.contains(&"darda_entry_id".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_client_that_is_handed_in_is_used_and_left_open() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let config = support::config(&url);
    let client = Client::with_uri_str(&url).await.unwrap();
    let store = MongoStore::with_client(client.clone(), &config).unwrap();
    store.ready().await.unwrap();
    store.insert(vec![entry(1, "1", "text")]).await.unwrap();
    store.close().await;
    client.list_database_names().await.unwrap();
}

#[tokio::test]
async fn reads_go_on_while_a_wrong_index_keeps_entries_out() {
    let Some((config, entries)) = fresh().await else {
        return;
    };
    index(&entries, "darda_entry_id", false).await;
    let store = MongoStore::connect(config).await.unwrap();
    store.ready().await.unwrap_err();
    let settings = Resilience::default().with_breaker(3, Duration::from_millis(1));
    let store = ResilientStore::new(Arc::new(store), &settings);
    for _ in 0..10 {
        for _ in 0..10 {
            let refused = store.insert(vec![entry(1, "1", "text")]).await;
            assert!(!refused.unwrap_err().was_asked());
        }
        let page = store.page(group(), Range::NEWEST, 10).await.unwrap();
        assert_eq!(page, []);
    }
}

#[tokio::test]
async fn nobody_is_asked_to_store_before_the_indexes_are_known() {
    let config = MongoConfig::new("mongodb://127.0.0.1:1", "chat");
    let store = MongoStore::connect(config).await.unwrap();
    for refused in [
        store.insert(vec![entry(1, "1", "text")]).await.unwrap_err(),
        store.relocate(entry(1, "1", "text")).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert!(!refused.was_asked() && refused.retry_after().is_some());
    }
}

#[tokio::test]
async fn a_name_that_is_no_databases_is_refused() {
    for name in ["", "a.b", "a/b", "a b", "a$b", &"x".repeat(64)] {
        let config = MongoConfig::new("mongodb://127.0.0.1:1", name);
        let refused = MongoStore::connect(config).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{name}");
    }
}

#[tokio::test]
async fn a_refused_url_is_not_quoted() {
    for url in [
        "s3cret",
        "mongodb://u:s3cret@h:port/",
        "mongodb://u:s3cr/et@h/?tls=maybe",
    ] {
        let config = MongoConfig::new(url, "chat");
        let refused = MongoStore::connect(config).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        let shown = format!("{refused:?}");
        assert!(!shown.contains("s3cr"), "{shown}");
    }
}

#[tokio::test]
async fn concurrent_moves_end_with_the_furthest() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let store = support::ready(support::config(&url)).await;
    store
        .insert(vec![entry(2, "1", "text"), entry(3, "2", "text")])
        .await
        .unwrap();
    let moves = (10..18).map(|position| support::until_moved(&store, entry(position, "1", "text")));
    let moves = futures::future::join(
        try_join_all(moves),
        // Late repeats of the send come between.
        support::until_ok(async || store.insert(vec![entry(2, "1", "text")]).await),
    );
    let (moved, _) = moves.await;
    assert_eq!(positions(&page(&store).await), [3, 17]);
    let furthest = moved.unwrap().pop().unwrap();
    assert!(matches!(furthest, Relocated::Stands { .. }), "{furthest:?}");
}

#[tokio::test]
async fn a_move_that_was_cut_off_between_its_steps_is_completed_by_its_repeat() {
    let Some((config, entries)) = fresh().await else {
        return;
    };
    let store = support::ready(config).await;
    store.insert(vec![entry(2, "1", "text")]).await.unwrap();
    entries.delete_many(doc! {}).await.unwrap();
    let moved = store.relocate(entry(9, "1", "text")).await.unwrap();
    assert_eq!(moved, Relocated::Stands { left: None });
    assert_eq!(positions(&page(&store).await), [9]);
}

#[tokio::test]
async fn a_move_goes_on_when_its_caller_has_gone() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let store = support::ready(support::config(&url)).await;
    store.insert(vec![entry(2, "1", "text")]).await.unwrap();
    // Polled once, then dropped.
    let _ = futures::FutureExt::now_or_never(store.relocate(entry(9, "1", "text")));
    let moved = async || match positions(&page(&store).await).as_slice() {
        [9] => Ok(()),
        _ => Err(darda_core::Error::new(ErrorKind::Unavailable, "not yet")),
    };
    support::until_ok(moved).await;
}

#[tokio::test]
async fn a_batch_over_the_size_of_one_command_is_stored_in_parts() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let config = support::config(&url).with_operation_timeout(Duration::from_secs(120));
    let store = support::ready(config).await;
    let payload = vec![7_u8; 32 * 1024];
    let batch = |first: u64| -> Vec<_> {
        let numbers = first..first + 1_600;
        let entries = numbers.map(|number| {
            entry(
                number,
                &number.to_string(),
                Body::Opaque(payload.clone().into()),
            )
        });
        entries.collect()
    };
    store
        .insert(vec![entry(900, "other", "text")])
        .await
        .unwrap();
    let inserted = store.insert(batch(1)).await.unwrap();
    let taken: Vec<_> = inserted
        .iter()
        .enumerate()
        .filter(|(_, inserted)| **inserted != Inserted::New)
        .collect();
    assert_eq!(taken, [(899, &Inserted::Taken)]);
    let page = store.page(group(), Range::NEWEST, 200).await.unwrap();
    assert_eq!(positions(&page), (1_401..=1_600).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_change_whose_entry_was_stored_first_leaves_nothing_unlogged() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let store = support::ready(support::config(&url)).await;
    let mut base = 0;
    // More than may wait.
    for epoch in 1..=70 {
        let (delta, entry) = change(base, epoch, &[user("bob")]);
        store.insert(vec![entry.clone()]).await.unwrap();
        let committed = store.commit_members(delta, entry).await.unwrap();
        assert_eq!(committed, Commit::Committed);
        assert!(store.unlogged(group()).await.unwrap().is_empty());
        base = epoch;
    }
}

#[tokio::test]
async fn an_entry_that_is_no_change_of_members_is_not_taken_for_one() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let store = support::ready(support::config(&url)).await;
    let (delta, _) = change(0, 1, &[user("bob")]);
    let refused = store.commit_members(delta, entry(1, "1", "text")).await;
    assert_eq!(
        refused.map_err(|error| error.kind()),
        Err(ErrorKind::Invalid)
    );
}

#[tokio::test]
async fn no_name_is_taken_for_an_expression() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let store = support::ready(support::config(&url)).await;
    let users = ["$m", "$$ROOT", "$a.b", "a.b.0", "{\"$gt\":1}"].map(user);
    let (create, first) = change(0, 1, &users[..2]);
    store.commit_members(create.clone(), first).await.unwrap();
    let (mut add, second) = change(1, 2, &users[2..]);
    add.remove.push(users[0].clone());
    store.commit_members(add.clone(), second).await.unwrap();
    let expected = Members::nobody(group()).with(&create).with(&add);
    assert_eq!(store.members(group()).await.unwrap(), Some(expected));
    let marks = Marks {
        delivered: Position(2),
        seen: Position(1),
    };
    let updates = users.iter().map(|user| MarkUpdate {
        conversation: group(),
        user: user.clone(),
        marks,
    });
    store.mark(updates.collect()).await.unwrap();
    let held = store.marks(group()).await.unwrap();
    assert_eq!(held.len(), 4);
    assert!(held.iter().all(|(_, held)| *held == marks));
    for user in &users[1..] {
        let memberships = store.memberships(user.clone()).await.unwrap();
        assert_eq!(memberships[0].marks, marks);
        store.block(user.clone(), users[0].clone()).await.unwrap();
        assert!(
            store
                .blocked_between(users[0].clone(), user.clone())
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn a_group_of_ten_thousand_can_be_changed_and_listed() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let config = support::config(&url).with_operation_timeout(Duration::from_secs(30));
    let store = support::ready(config).await;
    let users = (0..10_000).map(|number| user(&format!("{number:0>64}")));
    let users: Vec<_> = users.collect();
    let (create, first) = change(0, 1, &users);
    store.commit_members(create, first).await.unwrap();
    let (mut leave, second) = change(1, 2, &[]);
    leave.remove.push(users[17].clone());
    store.commit_members(leave, second).await.unwrap();
    let members = store.members(group()).await.unwrap().unwrap();
    assert_eq!(members.list.len(), 9_999);
    let memberships = store.memberships(users[9_999].clone()).await.unwrap();
    assert_eq!(memberships[0].epoch, Epoch(2));
}

#[tokio::test]
async fn a_page_is_a_range_of_the_primary_key() {
    let Some(url) = support::url_or_skip() else {
        return;
    };
    let config = support::config(&url);
    let database = support::database(&url, &config).await;
    let store = support::ready(config).await;
    let entries = (1..=100).map(|number| entry(number, &number.to_string(), "text"));
    store.insert(entries.collect()).await.unwrap();
    let key = |position: u64| {
        let mut key = group().as_bytes().to_vec();
        key.extend(position.to_be_bytes());
        Bson::Binary(mongodb::bson::Binary {
            subtype: mongodb::bson::spec::BinarySubtype::Generic,
            bytes: key,
        })
    };
    // As `page` asks, which no test can overhear.
    let find = doc! {
        "find": "entries",
        "filter": { "_id": { "$gte": key(0), "$lt": key(50) } },
        "sort": { "_id": -1 },
        "limit": 10,
    };
    let explain = doc! { "explain": find, "verbosity": "queryPlanner" };
    let plan = database.run_command(explain).await.unwrap();
    let stages = support::stages(&plan);
    let scans = stages
        .iter()
        .any(|stage| ["COLLSCAN", "SORT", "Seq Scan", "Sort"].contains(&stage.as_str()));
    assert!(!scans, "{stages:?} {plan:?}");
    assert!(!stages.is_empty(), "{plan:?}");
}
