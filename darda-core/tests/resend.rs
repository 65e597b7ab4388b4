//! A send whose ack was lost is answered with what stands, whatever its sender may do by now.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use std::sync::Arc;

use darda_core::faults::{Faults, FaultyBroker, Port, Trouble};
use darda_core::model::{ClientId, ConversationId, HistoryStart, MemberChange, UserId};
use darda_core::{Chat, ErrorKind, Options, Ports, SendRequest, Session};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client_id(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

/// Bob has sent "first", which the broker did not confirm.
struct Scene {
    alice: Session,
    bob: Session,
    group: ConversationId,
    _chat: Chat,
}

impl Scene {
    async fn open() -> Self {
        let faults = Faults::new(1);
        let mut ports = Ports::in_memory();
        ports.broker = Arc::new(FaultyBroker::new(ports.broker.clone(), faults.clone()));
        let chat = Chat::start(ports, Options::default());
        let alice = chat.connect(user("alice")).await.unwrap();
        let bob = chat.connect(user("bob")).await.unwrap();
        let made = alice.create_group(
            client_id("group"),
            "group".to_owned(),
            vec![user("bob")],
            HistoryStart::Beginning,
        );
        let (group, _) = made.await.unwrap();
        faults.set(Port::Broker, Trouble::none().with_hanging());
        let first = SendRequest::new(group, client_id("first"), "hello");
        let refused = bob.send(first).await.unwrap_err();
        assert!(refused.is_transient(), "{refused}");
        faults.heal(Port::Broker);
        Self {
            alice,
            bob,
            group,
            _chat: chat,
        }
    }

    async fn remove_bob(&self) {
        let change = MemberChange::Remove { user: user("bob") };
        let removed = self
            .alice
            .change_members(self.group, client_id("out"), change);
        removed.await.unwrap();
    }

    fn resend(&self, name: &str) -> SendRequest {
        SendRequest::new(self.group, client_id(name), "hello").with_resend(true)
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_is_told_where_what_was_sent_before_stands() {
    let scene = Scene::open().await;
    let history = scene
        .alice
        .history(scene.group, darda_core::ports::Range::NEWEST, 1);
    let stands = history.await.unwrap().entries[0].clone();
    scene.remove_bob().await;
    let ack = scene.bob.send(scene.resend("first")).await.unwrap();
    assert_eq!((ack.id, ack.position), (stands.id, stands.position));
    assert!(ack.repeat);
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_sends_nothing_more_by_calling_it_a_resend() {
    let scene = Scene::open().await;
    scene.remove_bob().await;
    let refused = scene.bob.send(scene.resend("second")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
}
