//! Users of whom one has blocked the other do not bring each other into groups.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be made fails its test"
)]

use darda_core::model::{ClientId, ConversationId, HistoryStart, MemberChange, Role, UserId};
use darda_core::{Ack, Chat, ErrorKind, Result, Session};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

async fn create(session: &Session, name: &str, members: &[&str]) -> Result<(ConversationId, Ack)> {
    let name = ClientId::new(name).unwrap();
    let members = members.iter().copied().map(user).collect();
    let (title, history) = ("group".to_owned(), HistoryStart::Beginning);
    session.create_group(name, title, members, history).await
}

async fn change(
    session: &Session,
    group: ConversationId,
    name: &str,
    change: MemberChange,
) -> Result<Ack> {
    let name = ClientId::new(name).unwrap();
    session.change_members(group, name, change).await
}

fn add(members: &[&str]) -> MemberChange {
    let users = members.iter().copied().map(user).collect();
    MemberChange::Add { users }
}

fn refused<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[tokio::test]
async fn neither_makes_a_group_with_the_other_nor_adds_them_to_one() {
    let chat = Chat::in_memory();
    let alice = chat.connect(user("alice")).await.unwrap();
    let mallory = chat.connect(user("mallory")).await.unwrap();
    alice.block(user("mallory")).await.unwrap();
    for (one, other) in [(&alice, "mallory"), (&mallory, "alice")] {
        let together = create(one, "together", &["bob", other]).await;
        assert_eq!(refused(together), Some(ErrorKind::Blocked));
        let (group, _) = create(one, "own", &["carol"]).await.unwrap();
        let added = change(one, group, "add", add(&["bob", other])).await;
        assert_eq!(refused(added), Some(ErrorKind::Blocked));
        let members = one.members(group).await.unwrap();
        assert!(members.get(&user("bob")).is_none(), "added in part");
    }
    alice.unblock(user("mallory")).await.unwrap();
    create(&mallory, "together", &["alice"]).await.unwrap();
}

#[tokio::test]
async fn who_is_in_a_group_already_stays_there() {
    let chat = Chat::in_memory();
    let alice = chat.connect(user("alice")).await.unwrap();
    let made = create(&alice, "group", &["alice", "bob"]).await.unwrap();
    let group = made.0;
    let bob = chat.connect(user("bob")).await.unwrap();
    bob.block(user("alice")).await.unwrap();

    let again = create(&alice, "group", &["alice", "bob"]).await.unwrap();
    assert!(again.1.repeat && again.1.position == made.1.position);
    let added = change(&alice, group, "add", add(&["bob", "carol"])).await;
    added.unwrap();
    let role = MemberChange::Role {
        user: user("bob"),
        role: Role::Admin,
    };
    change(&alice, group, "role", role).await.unwrap();
    let members = alice.members(group).await.unwrap();
    assert!(members.get(&user("carol")).is_some());
    assert!(members.get(&user("bob")).is_some());
}
