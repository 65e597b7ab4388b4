//! When a writer that keeps up stores what comes to it.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{ClientId, ConversationId, UserId};
use darda_core::ports::Cache;
use darda_core::{Chat, Options, Ports, SendRequest, Session};
use tokio::time::{Instant, sleep};

const WINDOW: Duration = Duration::from_millis(100);
const MOMENT: Duration = Duration::from_millis(5);

struct Writing {
    alice: Session,
    conversation: ConversationId,
    cache: Arc<dyn Cache>,
    _chat: Chat,
}

/// A conversation of which everything is stored, and a writer that gathers nothing.
async fn at_rest() -> Writing {
    let ports = Ports::in_memory();
    let cache = ports.cache.clone();
    let options = Options::default()
        .without_rate_limits()
        .with_writer_window(WINDOW);
    let chat = Chat::start(ports, options);
    let alice = chat.connect(UserId::new("alice").unwrap()).await.unwrap();
    let bob = UserId::new("bob").unwrap();
    let conversation = alice.open_direct(bob).await.unwrap();
    sleep(2 * WINDOW).await;
    Writing {
        alice,
        conversation,
        cache,
        _chat: chat,
    }
}

impl Writing {
    async fn say(&self, number: usize) {
        let name = ClientId::new(number.to_string()).unwrap();
        let request = SendRequest::new(self.conversation, name, "hello");
        self.alice.send(request).await.unwrap();
    }

    /// How long it takes from now until everything is stored.
    async fn stored_after(&self) -> Duration {
        let asked = Instant::now();
        while self.cache.outbox_len().await.unwrap() > 0 {
            assert!(asked.elapsed() < Duration::from_secs(10), "never stored");
            sleep(Duration::from_millis(1)).await;
        }
        asked.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_entry_after_a_pause_is_stored_at_once() {
    let writing = at_rest().await;
    writing.say(1).await;
    assert!(writing.stored_after().await < MOMENT);
}

#[tokio::test(start_paused = true)]
async fn entries_after_it_are_gathered_for_the_window() {
    let writing = at_rest().await;
    writing.say(1).await;
    writing.stored_after().await;
    writing.say(2).await;
    writing.say(3).await;
    let took = writing.stored_after().await;
    assert!(took > WINDOW / 2 && took < WINDOW + MOMENT, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_worth_a_batch_is_stored_before_the_window_ends() {
    let writing = at_rest().await;
    writing.say(0).await;
    writing.stored_after().await;
    for number in 1..=64 {
        writing.say(number).await;
    }
    assert!(writing.stored_after().await < MOMENT);
}
