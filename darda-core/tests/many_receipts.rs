//! Marks of many conversations at once, over a store whose calls take their time.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

use std::sync::Arc;
use std::time::Duration;

use darda_core::faults::{Faults, FaultyCache, FaultyStore, Port, Trouble};
use darda_core::model::limits::MAX_MEMBERS_PER_CHANGE;
use darda_core::model::{ClientId, ConversationId, HistoryStart, MemberChange, Position, UserId};
use darda_core::ports::EventBody;
use darda_core::{Chat, Mark, Options, Ports, SendRequest, Session};
use futures::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};

const CONVERSATIONS: usize = 100;
/// What each call of the store and of the cache takes.
const EACH: Duration = Duration::from_millis(50);

struct Scene {
    faults: Faults,
    reader: Session,
    chat: Chat,
}

fn user(name: impl ToString) -> UserId {
    UserId::new(name.to_string()).unwrap()
}

async fn scene() -> Scene {
    let faults = Faults::new(1);
    let mut ports = Ports::in_memory();
    ports.store = Arc::new(FaultyStore::new(ports.store, faults.clone()));
    ports.cache = Arc::new(FaultyCache::new(ports.cache, faults.clone()));
    let chat = Chat::start(ports, Options::default().without_rate_limits());
    let reader = chat.connect(user("reader")).await.unwrap();
    // What is known before a node hears of others is doubted.
    sleep(Duration::from_secs(1)).await;
    Scene {
        faults,
        reader,
        chat,
    }
}

impl Scene {
    /// Conversations in which something was said.
    async fn directs(&self) -> Vec<(ConversationId, Position)> {
        let mut said = Vec::new();
        for number in 0..CONVERSATIONS {
            let direct = self.reader.open_direct(user(number)).await.unwrap();
            said.push((direct, self.say(direct).await));
        }
        said
    }

    /// A group of the reader's and these, in which something was said.
    async fn group(&self, name: impl ToString, members: Vec<UserId>) -> (ConversationId, Position) {
        let name = ClientId::new(name.to_string()).unwrap();
        let (title, history) = ("group".to_owned(), HistoryStart::Beginning);
        let group = self.reader.create_group(name, title, members, history);
        let (group, _) = group.await.unwrap();
        (group, self.say(group).await)
    }

    async fn say(&self, conversation: ConversationId) -> Position {
        let request = SendRequest::new(conversation, ClientId::new("hello").unwrap(), "hello");
        self.reader.send(request).await.unwrap().position
    }

    async fn mark(&self, said: &[(ConversationId, Position)]) {
        let mark = |&(conversation, position)| self.reader.mark(conversation, Mark::Seen(position));
        try_join_all(said.iter().map(mark)).await.unwrap();
    }

    fn slow(&self) {
        for port in [Port::Store, Port::Cache] {
            let slow = Trouble::none().with_delay(EACH..=EACH);
            self.faults.set(port, slow);
        }
    }
}

/// How long it takes until a session was told of marks in so many conversations.
async fn told(session: &Session, conversations: usize) -> Duration {
    let asked = Instant::now();
    let mut told = std::collections::BTreeSet::new();
    while told.len() < conversations {
        let mut events = Vec::new();
        assert!(session.events(&mut events).await);
        told.extend(events.iter().filter_map(|event| match event.body() {
            EventBody::Receipts { conversation, .. } => Some(*conversation),
            _ => None,
        }));
    }
    asked.elapsed()
}

#[tokio::test(start_paused = true)]
async fn marks_of_many_conversations_are_written_together() {
    let scene = scene().await;
    let said = scene.directs().await;
    scene.slow();
    scene.mark(&said).await;
    let took = told(&scene.reader, CONVERSATIONS).await;
    assert!(took < 10 * EACH, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn groups_are_confirmed_together() {
    let scene = scene().await;
    let mut said = Vec::new();
    for number in 0..CONVERSATIONS {
        said.push(scene.group(number, vec![user("other")]).await);
    }
    scene.slow();
    scene.mark(&said).await;
    let took = told(&scene.reader, CONVERSATIONS).await;
    assert!(took < 10 * EACH, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn marks_that_could_not_be_written_are_written_later() {
    let scene = scene().await;
    let said = scene.directs().await;
    let broken = Trouble::none().with_failures_before(1.0);
    scene.faults.set(Port::Store, broken);
    scene.mark(&said).await;
    let early = timeout(Duration::from_secs(10), told(&scene.reader, 1)).await;
    assert!(early.is_err(), "told before they were written");
    scene.faults.heal(Port::Store);
    told(&scene.reader, CONVERSATIONS).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_one_who_was_removed_meanwhile_is_told_to_nobody() {
    let scene = scene().await;
    let other = scene.chat.connect(user("other")).await.unwrap();
    let (group, position) = scene.group("group", vec![user("other")]).await;
    other.mark(group, Mark::Seen(position)).await.unwrap();
    let user = user("other");
    let (name, change) = (
        ClientId::new("remove").unwrap(),
        MemberChange::Remove { user },
    );
    let removed = scene.reader.change_members(group, name, change);
    removed.await.unwrap();
    let told = timeout(Duration::from_secs(10), told(&scene.reader, 1)).await;
    assert!(told.is_err(), "a mark of who is no member");
}

#[tokio::test(start_paused = true)]
async fn those_of_a_large_group_are_gathered_longer() {
    let scene = scene().await;
    let said = [scene.group("group", Vec::new()).await];
    let users: Vec<_> = (1..400).map(user).collect();
    for (at, users) in users.chunks(MAX_MEMBERS_PER_CHANGE).enumerate() {
        let users = users.to_vec();
        let (name, change) = (
            ClientId::new(format!("{at}")).unwrap(),
            MemberChange::Add { users },
        );
        let added = scene.reader.change_members(said[0].0, name, change);
        added.await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    scene.mark(&said).await;
    let took = told(&scene.reader, 1).await;
    // 400 members, in windows of 50.
    let window = Options::default().receipt_window;
    assert!(took >= 7 * window && took <= 8 * window, "{took:?}");
}
