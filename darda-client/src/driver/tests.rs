use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::connection::{ABNORMAL, Connection};
use crate::id::{ClientId, Position};
use crate::storage::MemoryStorage;
use crate::wire::{Append, Attached};

/// A turn takes far less.
const TURN: Duration = Duration::from_secs(5);

fn item(client_id: &str) -> Item {
    Item {
        conversation: "c".into(),
        client_id: client_id.into(),
        append: Append::Leave,
        peer: None,
    }
}

fn settings() -> Settings {
    Settings::new("ws://127.0.0.1:1/v1/ws")
}

/// A client whose connection takes nothing more, and says so only by its next frame: it was written to
/// after the server had closed it.
fn on_an_ending_connection(settings: Settings, items: Vec<Item>) -> Driver {
    let stored = Stored {
        items,
        ..Stored::default()
    };
    let (status, _) = watch::channel(Status::new(State::Connecting, None));
    let storage = Arc::new(MemoryStorage::new());
    let mut driver = Driver::new(settings, storage, stored, Arc::default(), status);
    driver.line.current = Some(Connection::that_is_ending());
    driver.start_sync();
    driver
}

/// A turn of its work. One that does not end cannot be timed out from within its own runtime.
fn work(mut driver: Driver) -> Driver {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        driver.work();
        // The test may have given up.
        let _ = done.send(driver);
    });
    is_done.recv_timeout(TURN).unwrap()
}

/// A conversation that was followed up to 10 is attached: there is an entry beyond a gap.
fn attach_beyond_a_gap(driver: &mut Driver, name: &str) {
    let (conversation, sync) = (name.into(), driver.sync.number);
    let talk = driver.talk(&conversation);
    talk.log.begin(Position(10));
    talk.fetching = true;
    let reading = Reading::new(conversation, talk, sync, Position(10), Vec::new());
    driver.fetches += 1;
    let entry = json!({"conversation": name, "position": 30, "prev": 20, "epoch": 0, "entry": name,
        "sender": "bob", "client_id": "1", "type": "message", "text": ""});
    let attached = json!({"entries": [entry], "gap": {"after": 10, "before": 30}, "head": 30});
    let attached: Attached = serde_json::from_value(attached).unwrap();
    driver.attached(reading, attached);
}

/// Whose entries wait for the app, which takes them.
fn given(driver: &mut Driver) -> Vec<String> {
    let updates = driver.out.drain(..).filter_map(|update| match update {
        Update::Entry { entry, .. } => Some(entry.conversation.to_string()),
        _ => None,
    });
    updates.collect()
}

#[tokio::test]
async fn a_connection_that_takes_nothing_more_ends_the_turn_and_loses_nothing() {
    let mut driver = on_an_ending_connection(settings(), vec![item("1"), item("2")]);
    let (answer, mut answered) = oneshot::channel();
    driver.ask_for(Command::Blocks, answer);

    let mut driver = work(driver);
    let (conversation, client_id) = ("c".into(), ClientId::from("1"));
    let first = driver.outbox.first(&conversation).unwrap();
    assert_eq!(first.item.client_id, client_id);
    assert!(first.commands.is_empty() && driver.sends_under_way() == 0);
    assert_eq!(answered.try_recv().unwrap_err(), TryRecvError::Empty);

    // Its end is told: the next one begins with all that waits.
    driver.line_event(LineEvent::Incoming(Incoming::Closed(ABNORMAL)));
    assert_eq!(driver.outbox.len(), 2);
    assert_eq!(answered.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[tokio::test]
async fn a_repeat_that_the_connection_does_not_take_is_tried_later() {
    let mut driver = on_an_ending_connection(settings(), vec![item("1")]);
    let (conversation, client_id) = ("c".into(), ClientId::from("1"));
    let first = driver.outbox.first(&conversation).unwrap();
    first.commands.push(1);
    driver.send_again(&conversation, &client_id);

    let later = Instant::now() + 2 * driver.settings.timing.reply;
    let mut due = std::iter::from_fn(|| driver.timers.pop(later));
    assert!(due.any(|due| due == Due::Send(conversation.clone(), client_id.clone())));
}

#[tokio::test]
async fn gaps_that_rest_are_dealt_with_as_far_as_the_app_has_room() {
    let narrow = settings().with_max_updates(1).with_max_gap_pages(0);
    let mut driver = on_an_ending_connection(narrow, Vec::new());
    for name in ["a", "b", "c"] {
        attach_beyond_a_gap(&mut driver, name);
    }
    assert_eq!(given(&mut driver), ["a"]);
    let mut driver = work(driver);
    assert_eq!(given(&mut driver), ["b"]);
    let mut driver = work(driver);
    assert_eq!(given(&mut driver), ["c"]);
}
