//! The client against a server that says what the test wants: what the real one says too rarely.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use darda_client::wire::Append;
use darda_client::{
    Change, Client, ClientId, ErrorKind, MemoryStorage, Position, Settings, State, Storage, Timing,
    Update, Updates,
};
use serde_json::{Value, json};
use support::{Line, Server, entry};

/// A client that is twenty times as fast.
async fn start(server: &Server, storage: MemoryStorage) -> (Client, Updates) {
    Client::start(settings(server), storage).await.unwrap()
}

fn settings(server: &Server) -> Settings {
    Settings::new(server.url()).with_timing(Timing::default().faster(20))
}

/// A storage with one conversation, handled up to a position.
async fn known(position: u64) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let cursor = Change::Cursor("c".into(), Position(position));
    storage
        .apply(vec![Change::User("alice".into()), Change::CaughtUp, cursor])
        .await
        .unwrap();
    storage
}

/// Answers what a client asks after it connected: one conversation, of which it has everything.
async fn greet(line: &mut Line) {
    let id = line.command("conversations").await["id"].clone();
    let summary = json!({
        "conversation": "c", "kind": "direct", "peer": "bob", "role": "member", "head": 10,
        "delivered": 0, "seen": 0, "unread": {"count": 0, "more": false},
    });
    line.say(json!({"id": id, "ok": {"conversations": [summary]}}))
        .await;
    let id = line.command("resume").await["id"].clone();
    line.say(json!({"id": id, "ok": {"conversations": []}}))
        .await;
}

fn ack(id: &Value, position: u64, prev: u64) -> Value {
    let entry = format!("e{position}");
    let ok = json!({"entry": entry, "position": position, "prev": prev, "repeat": false});
    json!({"id": id, "ok": ok})
}

/// The next entry's position, and whether it is late.
async fn next_given(updates: &mut Updates) -> (u64, bool) {
    loop {
        if let Update::Entry { entry, late } = updates.next().await.unwrap() {
            return (entry.position.0, late);
        }
    }
}

async fn next_entry(updates: &mut Updates) -> u64 {
    next_given(updates).await.0
}

/// The next entry, which must not be late.
async fn next_in_order(updates: &mut Updates) -> u64 {
    let (position, late) = next_given(updates).await;
    assert!(!late, "{position}");
    position
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_and_nothing_overtakes() {
    let server = Server::start().await;
    let (client, _updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    let first = client.send(&"c".into(), "first").await.unwrap();
    let second = client.send(&"c".into(), "second").await.unwrap();

    let command = line.command("send").await;
    assert_eq!(
        (&command["text"], &command["resend"]),
        (&json!("first"), &Value::Null)
    );
    let refused = Instant::now();
    let error = json!({"code": "busy", "message": "the queue is full", "retry_after_ms": 200});
    line.say(json!({"id": command["id"], "error": error})).await;

    let again = line.command("send").await;
    assert!(
        refused.elapsed() >= Duration::from_millis(200),
        "{:?}",
        refused.elapsed()
    );
    assert_eq!(
        (&again["text"], &again["resend"]),
        (&json!("first"), &json!(true))
    );
    assert_eq!(again["client_id"], command["client_id"]);
    line.say(ack(&again["id"], 20, 10)).await;
    assert_eq!(first.acked().await.unwrap().position, Position(20));

    let command = line.command("send").await;
    assert_eq!(command["text"], "second");
    line.say(ack(&command["id"], 30, 20)).await;
    second.acked().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_for_good_comes_back_and_the_next_goes_on() {
    let server = Server::start().await;
    let storage = known(10).await;
    let (client, mut updates) = start(&server, storage.clone()).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    let first = client.send(&"c".into(), "first").await.unwrap();
    let second = client.send(&"c".into(), "second").await.unwrap();
    let command = line.command("send").await;
    let error = json!({"code": "blocked", "message": "one of you has blocked the other"});
    line.say(json!({"id": command["id"], "error": error})).await;
    let client_id = first.client_id().clone();
    let error = first.acked().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Refused, Some("blocked"))
    );
    let command = line.command("send").await;
    line.say(ack(&command["id"], 20, 10)).await;
    second.acked().await.unwrap();
    loop {
        if let Update::Refused {
            client_id: refused, ..
        } = updates.next().await.unwrap()
        {
            assert_eq!(refused, client_id);
            break;
        }
    }
    // The app was told, and has not handled it yet: an app that is killed now is told again.
    assert_eq!(storage.load().await.unwrap().items.len(), 1);
    updates.handled();
    client.close().await;
    assert!(storage.load().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_user_who_is_not_let_in_is_told_and_nothing_is_tried_until_asked() {
    let server = Server::start().await;
    let (client, _updates) = start(&server, MemoryStorage::new()).await;
    server.accept_and_close(4401).await;
    let status = client
        .wait_for(|status| status.state == State::Refused)
        .await
        .unwrap();
    assert!(status.to_string().contains("sign in again"), "{status}");
    let pinged = client.ping().await.unwrap_err();
    assert_eq!(pinged.kind(), ErrorKind::Stopped);
    let tried = tokio::time::timeout(Duration::from_millis(300), server.accept()).await;
    assert!(tried.is_err());
    client.reconnect().await.unwrap();
    server.accept().await;
}

#[tokio::test]
async fn a_storage_of_another_user_is_not_touched() {
    let server = Server::start().await;
    let storage = MemoryStorage::new();
    storage
        .apply(vec![Change::User("mallory".into())])
        .await
        .unwrap();
    let before = storage.load().await.unwrap();
    let (client, _updates) = start(&server, storage.clone()).await;
    let _line = server.accept().await;
    let status = client
        .wait_for(|status| status.state == State::Refused)
        .await
        .unwrap();
    assert!(status.to_string().contains("another user"), "{status}");
    client.close().await;
    assert_eq!(storage.load().await.unwrap(), before);
}

#[tokio::test]
async fn a_draining_server_is_left_in_the_time_it_names_and_used_until_then() {
    let server = Server::start().await;
    let (client, _updates) = start(&server, known(10).await).await;
    let mut old = server.accept().await;
    greet(&mut old).await;
    client
        .wait_for(|status| status.state == State::Online)
        .await
        .unwrap();
    let sending = client.send(&"c".into(), "during").await.unwrap();
    let command = old.command("send").await;
    let told = Instant::now();
    old.say(json!({"event": "draining", "reconnect_within_ms": 2000}))
        .await;
    let mut new = server.accept().await;
    assert!(
        told.elapsed() < Duration::from_millis(2000),
        "{:?}",
        told.elapsed()
    );
    assert!(
        told.elapsed() >= Duration::from_millis(100),
        "{:?}",
        told.elapsed()
    );
    greet(&mut new).await;
    // It was not acknowledged there: it is sent again here.
    let again = new.command("send").await;
    assert_eq!(
        (&again["client_id"], &again["resend"]),
        (&command["client_id"], &json!(true))
    );
    new.say(ack(&again["id"], 20, 10)).await;
    sending.acked().await.unwrap();
}

#[tokio::test]
async fn a_stale_answer_moves_no_cursor_and_is_asked_again() {
    let server = Server::start().await;
    let (client, mut updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    line.say(json!({"event": "heads", "heads": [{"conversation": "c", "position": 30}]}))
        .await;
    let id = line.command("attach").await["id"].clone();
    let ok = json!({"entries": [entry(30, 20)], "complete": true, "head": 30, "stale": true});
    line.say(json!({"id": id, "ok": ok})).await;
    let again = line.command("attach").await;
    assert_eq!(
        (&again["cursor"], client.status().state),
        (&json!(10), State::Behind)
    );
    let ok = json!({"entries": [entry(20, 10), entry(30, 20)], "complete": true, "head": 30});
    line.say(json!({"id": again["id"], "ok": ok})).await;
    assert_eq!(
        [
            next_entry(&mut updates).await,
            next_entry(&mut updates).await
        ],
        [20, 30]
    );
}

/// A page of what is missing, and a gap behind it: what a server says when more than a page is missing.
#[tokio::test]
async fn what_comes_before_a_gap_is_given_first_and_stays_given() {
    let server = Server::start().await;
    let (_client, mut updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    line.say(json!({"event": "heads", "heads": [{"conversation": "c", "position": 50}]}))
        .await;
    let id = line.command("attach").await["id"].clone();
    let first = [entry(20, 10), entry(30, 20)];
    let ok = json!({"entries": first, "complete": false, "gap": {"after": 30}, "head": 50});
    line.say(json!({"id": id, "ok": ok})).await;
    let page = line.command("history").await;
    assert_eq!(page["after"], 30);
    for position in [20, 30] {
        assert_eq!(next_in_order(&mut updates).await, position);
    }
    let ok = json!({"entries": [entry(40, 30)], "more": true});
    line.say(json!({"id": page["id"], "ok": ok})).await;
    assert_eq!(next_in_order(&mut updates).await, 40);
    drop(line);

    let mut line = server.accept().await;
    let id = line.command("conversations").await["id"].clone();
    line.say(json!({"id": id, "ok": {"conversations": []}}))
        .await;
    let resume = line.command("resume").await;
    assert_eq!(resume["cursors"][0]["cursor"], 40);
    let rest =
        json!({"conversation": "c", "entries": [entry(50, 40)], "complete": true, "head": 50});
    line.say(json!({"id": resume["id"], "ok": {"conversations": [rest]}}))
        .await;
    assert_eq!(next_in_order(&mut updates).await, 50);
}

#[tokio::test]
async fn behind_a_gap_without_an_end_that_is_too_wide_the_newest_page_stands_for_the_log() {
    let server = Server::start().await;
    let settings = settings(&server).with_max_gap_pages(1);
    let (_client, mut updates) = Client::start(settings, known(10).await).await.unwrap();
    let mut line = server.accept().await;
    greet(&mut line).await;
    line.say(json!({"event": "heads", "heads": [{"conversation": "c", "position": 90}]}))
        .await;
    let id = line.command("attach").await["id"].clone();
    let ok =
        json!({"entries": [entry(20, 10)], "complete": false, "gap": {"after": 20}, "head": 90});
    line.say(json!({"id": id, "ok": ok})).await;
    let page = line.command("history").await;
    let ok = json!({"entries": [entry(30, 20)], "more": true});
    line.say(json!({"id": page["id"], "ok": ok})).await;
    for position in [20, 30] {
        assert_eq!(next_in_order(&mut updates).await, position);
    }
    let newest = line.command("attach").await;
    assert_eq!(newest["cursor"], Value::Null);
    let ok = json!({"entries": [entry(80, 70), entry(90, 80)], "complete": true, "head": 90});
    line.say(json!({"id": newest["id"], "ok": ok})).await;
    loop {
        if let Update::Skipped { after, before, .. } = updates.next().await.unwrap() {
            assert_eq!((after, before), (Position(30), Position(80)));
            break;
        }
    }
    for position in [80, 90] {
        assert_eq!(next_in_order(&mut updates).await, position);
    }
}

#[tokio::test]
async fn one_that_is_on_no_page_of_the_list_is_left_only_if_the_server_says_so() {
    let server = Server::start().await;
    let storage = known(10).await;
    let other = Change::Cursor("left".into(), Position(7));
    storage.apply(vec![other]).await.unwrap();
    let (_client, mut updates) = start(&server, storage).await;
    let mut line = server.accept().await;
    let id = line.command("conversations").await["id"].clone();
    line.say(json!({"id": id, "ok": {"conversations": []}}))
        .await;
    let resume = line.command("resume").await;
    let error = json!({"code": "not_found", "message": "no such conversation"});
    let refused = json!({"conversation": "left", "error": error});
    let found =
        json!({"conversation": "c", "entries": [entry(20, 10)], "complete": true, "head": 20});
    line.say(json!({"id": resume["id"], "ok": {"conversations": [refused, found]}}))
        .await;
    let (mut left, mut entries) = (Vec::new(), Vec::new());
    while entries.is_empty() {
        match updates.next().await.unwrap() {
            Update::Left(conversation) => left.push(conversation),
            Update::Entry { entry, .. } => entries.push(entry.position.0),
            _ => {}
        }
    }
    assert_eq!((left, entries), (vec!["left".into()], vec![20]));
}

#[tokio::test]
async fn what_is_over_the_servers_limit_is_refused_here_and_the_next_goes_on() {
    let server = Server::start().await;
    let (client, _updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    let text = "x".repeat(131_072);
    let large = client.send(&"c".into(), text.as_str()).await.unwrap();
    let next = client.send(&"c".into(), "next").await.unwrap();
    let error = large.acked().await.unwrap_err();
    assert_eq!(error.code(), Some("too_large"));
    let command = line.command("send").await;
    assert_eq!(command["text"], "next");
    line.say(ack(&command["id"], 20, 10)).await;
    next.acked().await.unwrap();
}

#[tokio::test]
async fn what_is_sent_again_under_its_id_after_a_refusal_stays_stored() {
    let server = Server::start().await;
    let storage = known(10).await;
    let (client, mut updates) = start(&server, storage.clone()).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    let id = ClientId::draw();
    let said = || Append::Leave;
    let first = client.append_as(&"c".into(), id.clone(), said()).await;
    let command = line.command("leave").await;
    let error = json!({"code": "forbidden", "message": "your role does not allow this"});
    line.say(json!({"id": command["id"], "error": error})).await;
    first.unwrap().acked().await.unwrap_err();
    let _again = client.append_as(&"c".into(), id.clone(), said()).await;
    while !matches!(updates.next().await.unwrap(), Update::Refused { .. }) {}
    updates.handled();
    client.close().await;
    let items = storage.load().await.unwrap().items;
    assert_eq!(
        items.iter().map(|it| &it.client_id).collect::<Vec<_>>(),
        [&id]
    );
}

#[tokio::test]
async fn a_gap_that_is_too_wide_is_told() {
    let server = Server::start().await;
    let settings = settings(&server).with_max_gap_pages(1);
    let (_client, mut updates) = Client::start(settings, known(10).await).await.unwrap();
    let mut line = server.accept().await;
    greet(&mut line).await;
    line.say(json!({"event": "heads", "heads": [{"conversation": "c", "position": 90}]}))
        .await;
    let id = line.command("attach").await["id"].clone();
    let gap = json!({"after": 10, "before": 90});
    let ok = json!({"entries": [entry(90, 80)], "complete": false, "gap": gap, "head": 90});
    line.say(json!({"id": id, "ok": ok})).await;
    let page = line.command("history").await;
    assert_eq!(page["after"], 10);
    let ok = json!({"entries": [entry(20, 10)], "more": true});
    line.say(json!({"id": page["id"], "ok": ok})).await;
    assert_eq!(next_entry(&mut updates).await, 20);
    loop {
        if let Update::Skipped { after, before, .. } = updates.next().await.unwrap() {
            assert_eq!((after, before), (Position(20), Position(90)));
            break;
        }
    }
    assert_eq!(next_entry(&mut updates).await, 90);
    line.say(
        json!({"event": "entry", "conversation": "c", "position": 95, "prev": 90, "epoch": 0,
        "entry": "e95", "sender": "bob", "client_id": "95", "type": "message", "text": ""}),
    )
    .await;
    assert_eq!(next_entry(&mut updates).await, 95);
}

#[tokio::test]
async fn an_own_ack_on_its_way_explains_a_gap_and_nothing_is_fetched() {
    let server = Server::start().await;
    let (client, mut updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    let _sending = client.send(&"c".into(), "mine").await.unwrap();
    let command = line.command("send").await;
    let mut theirs = entry(30, 20);
    theirs["event"] = "entry".into();
    line.say(theirs).await;
    line.say(ack(&command["id"], 20, 10)).await;
    assert_eq!(
        [
            next_entry(&mut updates).await,
            next_entry(&mut updates).await
        ],
        [20, 30]
    );
    let asked = tokio::time::timeout(Duration::from_millis(200), line.command("attach")).await;
    assert!(asked.is_err(), "{asked:?}");
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_as_good_as_none() {
    let server = Server::start().await;
    let (client, mut updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    let id = line.command("conversations").await["id"].clone();
    line.say(json!({"id": id, "ok": {"conversations": 7}}))
        .await;
    greet(&mut line).await;
    client
        .wait_for(|status| status.state == State::Online)
        .await
        .unwrap();

    client.send(&"c".into(), "hello").await.unwrap();
    let id = line.command("send").await["id"].clone();
    line.say(json!({"id": id, "ok": {"position": "?"}})).await;
    let again = line.command("send").await;
    assert_eq!(again["resend"], true);
    line.say(ack(&again["id"], 20, 10)).await;
    assert_eq!(next_entry(&mut updates).await, 20);
    client.close().await;
}

#[tokio::test]
async fn the_outbox_is_bounded() {
    let server = Server::start().await;
    let settings = settings(&server).with_max_outbox(2);
    let (client, _updates) = Client::start(settings, MemoryStorage::new()).await.unwrap();
    for _ in 0..2 {
        client.send(&"c".into(), "waits").await.unwrap();
    }
    let error = client.send(&"c".into(), "too much").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
}

#[tokio::test]
async fn a_client_id_that_waits_is_taken_once() {
    let server = Server::start().await;
    let (client, _updates) = start(&server, MemoryStorage::new()).await;
    let id = ClientId::draw();
    client
        .append_as(&"c".into(), id.clone(), Append::Leave)
        .await
        .unwrap();
    let error = client
        .append_as(&"c".into(), id, Append::Leave)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
}

#[tokio::test]
async fn a_silent_server_is_asked_and_given_up() {
    let server = Server::start().await;
    let (client, _updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    client
        .wait_for(|status| status.state == State::Online)
        .await
        .unwrap();
    line.command("ping").await;
    client
        .wait_for(|status| status.state == State::Offline)
        .await
        .unwrap();
    server.accept().await;
}

#[tokio::test]
async fn where_a_withdrawn_entry_stands_is_asked_again_after_the_connection_was_lost() {
    let server = Server::start().await;
    let (client, mut updates) = start(&server, known(10).await).await;
    let mut line = server.accept().await;
    greet(&mut line).await;
    let event = |mut entry: Value| {
        entry["event"] = "entry".into();
        entry
    };
    line.say(event(entry(20, 10))).await;
    line.say(event(entry(30, 20))).await;
    // Appended once more, since a part of the server had forgotten it, and taken back.
    let mut again = entry(40, 30);
    again["entry"] = "e20".into();
    line.say(event(again)).await;
    let withdrawn = json!({"event": "withdrawn", "conversation": "c", "entry": "e20",
        "position": 40, "stands": 20});
    line.say(withdrawn).await;
    let asked = line.command("history").await;
    assert_eq!((&asked["after"], &asked["limit"]), (&json!(19), &json!(1)));
    drop(line);

    let mut line = server.accept().await;
    greet(&mut line).await;
    let asked = line.command("history").await;
    assert_eq!((&asked["after"], &asked["limit"]), (&json!(19), &json!(1)));
    let page = json!({"entries": [entry(20, 10)], "more": true, "stale": false});
    line.say(json!({"id": asked["id"], "ok": page})).await;
    while next_entry(&mut updates).await != 40 {}
    assert_eq!(next_entry(&mut updates).await, 20);
    client.close().await;
}
