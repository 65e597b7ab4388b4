use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::connection::{ABNORMAL, Connection};
use crate::id::ClientId;
use crate::storage::MemoryStorage;
use crate::wire::Append;

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

/// A client whose connection takes nothing more, and says so only by its next frame: it was written to
/// after the server had closed it.
fn on_an_ending_connection() -> Driver {
    let stored = Stored {
        items: vec![item("1"), item("2")],
        ..Stored::default()
    };
    let (status, _) = watch::channel(Status::new(State::Connecting, None));
    let mut driver = Driver::new(
        Settings::new("ws://127.0.0.1:1/v1/ws"),
        Arc::new(MemoryStorage::new()),
        stored,
        Arc::default(),
        status,
    );
    driver.line.current = Some(Connection::that_is_ending());
    driver.start_sync();
    driver
}

#[tokio::test]
async fn a_connection_that_takes_nothing_more_ends_the_turn_and_loses_nothing() {
    let mut driver = on_an_ending_connection();
    let (answer, mut answered) = oneshot::channel();
    driver.ask_for(Command::Blocks, answer);

    // A turn that does not end cannot be timed out from within its own runtime.
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        driver.work();
        let _ = done.send(driver);
    });
    let mut driver = is_done.recv_timeout(TURN).unwrap();

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
