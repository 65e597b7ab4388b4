use tempfile::TempDir;

use super::*;
use crate::storage::Item;
use crate::wire::{Append, Message};
use crate::{ErrorKind, Position};

fn item(client_id: &str) -> Item {
    Item {
        conversation: "c".into(),
        client_id: client_id.into(),
        peer: Some("bob".into()),
        append: Append::Send(Message::new("hello\nthere")),
    }
}

fn changes() -> Vec<Change> {
    vec![
        Change::User("alice".into()),
        Change::Put(item("1")),
        Change::Put(item("2")),
        Change::Cursor("c".into(), Position(7)),
        Change::Remove("c".into(), "1".into()),
        Change::Cursor("c".into(), Position(9)),
        Change::CaughtUp,
    ]
}

fn expected() -> Stored {
    Stored {
        user: Some("alice".into()),
        caught_up: true,
        items: vec![item("2")],
        cursors: vec![("c".into(), Position(9))],
    }
}

async fn written(directory: &TempDir) {
    let storage = FileStorage::open(directory.path()).await.unwrap();
    storage.apply(changes()).await.unwrap();
}

#[tokio::test]
async fn what_was_kept_is_found_by_the_next_start() {
    let directory = TempDir::new().unwrap();
    written(&directory).await;
    for _ in 0..2 {
        let storage = FileStorage::open(directory.path()).await.unwrap();
        assert_eq!(storage.load().await.unwrap(), expected());
    }
}

#[tokio::test]
async fn a_line_that_a_crash_cut_off_is_left_out_and_the_rest_is_found() {
    let whole = TempDir::new().unwrap();
    written(&whole).await;
    let path = whole.path().join(JOURNAL);
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for cut in last..bytes.len() - 1 {
        std::fs::write(&path, &bytes[..=cut]).unwrap();
        let storage = FileStorage::open(whole.path()).await.unwrap();
        let stored = storage.load().await.unwrap();
        assert!(!stored.caught_up, "its line was cut off at {cut}");
        assert_eq!(stored.items, expected().items);
        // And what is written next is whole.
        storage.apply(vec![Change::CaughtUp]).await.unwrap();
        drop(storage);
        let storage = FileStorage::open(whole.path()).await.unwrap();
        assert_eq!(storage.load().await.unwrap(), expected());
    }
}

#[tokio::test]
async fn damage_before_the_end_is_an_error_that_names_the_line() {
    let directory = TempDir::new().unwrap();
    written(&directory).await;
    let path = directory.path().join(JOURNAL);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[12] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = FileStorage::open(directory.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(error.to_string(), "line 1 of the journal is damaged");
}

#[tokio::test]
async fn a_second_client_is_refused() {
    let directory = TempDir::new().unwrap();
    let first = FileStorage::open(directory.path()).await.unwrap();
    let error = FileStorage::open(directory.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    drop(first);
    FileStorage::open(directory.path()).await.unwrap();
}

#[tokio::test]
async fn the_journal_stays_small_however_much_is_written() {
    let directory = TempDir::new().unwrap();
    let storage = FileStorage::open(directory.path()).await.unwrap();
    let text = "x".repeat(10_000);
    for number in 0..300 {
        let mut item = item(&number.to_string());
        item.append = Append::Send(Message::new(text.as_str()));
        let remove = Change::Remove(item.conversation.clone(), item.client_id.clone());
        storage
            .apply(vec![Change::Put(item), remove])
            .await
            .unwrap();
    }
    let bytes = std::fs::metadata(directory.path().join(JOURNAL))
        .unwrap()
        .len();
    assert!(bytes <= COMPACT_BYTES + 20_000, "{bytes}");
}
