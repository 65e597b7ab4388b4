//! What clients say to each other over the socket.

#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use darda_server::{RouterOptions, ServeOptions};
use serde_json::{Value, json};
use server::{Client, Server, options, soon};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn two_sockets_talk() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.connect("alice").await, server.connect("bob").await);
    let conversation = alice.open_direct("bob").await;
    let ack = alice.say(&conversation, "a1", "hello").await;
    let event = bob.event("entry").await;
    assert_eq!(event["text"], "hello");
    assert_eq!(event["sender"], "alice");
    assert_eq!(event["position"], ack["position"]);
    assert_eq!(event["entry"], ack["entry"]);
    let answer = bob.say(&conversation, "b1", "hello yourself").await;
    assert_eq!(answer["prev"], ack["position"]);
    assert_eq!(alice.event("entry").await["text"], "hello yourself");
    let history = bob
        .ok("history", json!({"conversation": conversation}))
        .await;
    let texts: Vec<_> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["text"])
        .collect();
    assert_eq!(texts, ["hello", "hello yourself"]);
}

#[tokio::test]
async fn every_command_is_answered_as_the_protocol_says() {
    let server = Server::unlimited().await;
    let (mut alice, mut bob) = (server.connect("alice").await, server.connect("bob").await);
    let direct = alice.open_direct("bob").await;
    let hello = alice.say(&direct, "1", "hello").await;
    bob.event("entry").await;
    let (target, position) = (hello["entry"].clone(), hello["position"].clone());
    let mut ids = (2..).map(|it| it.to_string());
    let mut of = |conversation: &str, fields: Value| {
        let mut fields = fields;
        fields["conversation"] = conversation.into();
        fields["client_id"] = ids.next().unwrap().into();
        fields
    };
    for (cmd, fields) in [
        ("send_opaque", json!({"payload": "AAEC"})),
        ("edit", json!({"target": target, "text": "hello, Bob"})),
        ("react", json!({"target": target, "reaction": "👍"})),
        ("unreact", json!({"target": target, "reaction": "👍"})),
        ("delete", json!({"target": target})),
    ] {
        let ack = alice.ok(cmd, of(&direct, fields)).await;
        assert_eq!(ack["repeat"], false, "{cmd}");
        assert!(ack["position"].as_u64() > position.as_u64(), "{cmd}");
        assert_eq!(bob.event("entry").await["entry"], ack["entry"], "{cmd}");
    }
    let made = alice
        .ok(
            "create_group",
            json!({"client_id": "g", "title": "Walkers", "members": ["bob"]}),
        )
        .await;
    let group = made["conversation"].as_str().unwrap().to_owned();
    assert_eq!(bob.event("joined").await["conversation"], group);
    for (cmd, fields) in [
        ("rename", json!({"title": "Hikers"})),
        ("add", json!({"users": ["carol", "dave"]})),
        ("set_role", json!({"user": "bob", "role": "admin"})),
        ("remove", json!({"user": "dave"})),
    ] {
        let ack = alice.ok(cmd, of(&group, fields)).await;
        assert!(ack["position"].is_u64(), "{cmd}");
    }
    let members = bob.ok("members", json!({"conversation": group})).await;
    let expected = json!([{"user": "alice", "role": "owner"}, {"user": "bob", "role": "admin"},
        {"user": "carol", "role": "member"}]);
    assert_eq!(
        (&members["members"], &members["title"]),
        (&expected, &json!("Hikers"))
    );
    bob.ok("leave", of(&group, json!({}))).await;
    assert_eq!(
        bob.error("members", json!({"conversation": group})).await,
        "not_found"
    );

    let attached = bob
        .ok("attach", json!({"conversation": direct, "cursor": 0}))
        .await;
    assert_eq!(
        (
            &attached["complete"],
            attached["entries"].as_array().unwrap().len()
        ),
        (&json!(true), 6)
    );
    let resume = json!({"cursors": [{"conversation": direct, "cursor": position},
        {"conversation": group, "cursor": 0}]});
    let resumed = bob.ok("resume", resume).await;
    let conversations = resumed["conversations"].as_array().unwrap();
    let of_direct = conversations
        .iter()
        .find(|it| it["conversation"] == *direct)
        .unwrap();
    assert_eq!(of_direct["entries"].as_array().unwrap().len(), 5);
    let of_group = conversations
        .iter()
        .find(|it| it["conversation"] == *group)
        .unwrap();
    assert_eq!(of_group["error"]["code"], "not_found");

    for cmd in ["delivered", "seen"] {
        let mark = json!({"conversation": direct, "position": position});
        assert_eq!(bob.ok(cmd, mark).await, json!({}));
    }
    assert_eq!(alice.event("receipts").await["receipts"][0]["user"], "bob");
    let receipts = alice.ok("receipts", json!({"conversation": direct})).await;
    let of_bob = receipts["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["user"] == "bob");
    assert_eq!(of_bob.unwrap()["seen"], position);
    assert_eq!(
        bob.ok("typing", json!({"conversation": direct, "active": true}))
            .await,
        json!({})
    );
    assert_eq!(alice.event("typing").await["active"], true);
    let presence = alice.ok("presence", json!({"conversation": direct})).await;
    assert_eq!(
        presence["presence"][0],
        json!({"user": "bob", "online": true})
    );
    let list = bob.ok("conversations", json!({})).await;
    assert_eq!(list["conversations"][0]["peer"], "alice");
    assert_eq!(bob.ok("block", json!({"user": "alice"})).await, json!({}));
    assert_eq!(
        bob.ok("blocks", json!({})).await,
        json!({"users": ["alice"]})
    );
    let send = of(&direct, json!({"text": "still there?"}));
    assert_eq!(alice.error("send", send).await, "blocked");
    assert_eq!(bob.ok("unblock", json!({"user": "alice"})).await, json!({}));
    assert_eq!(bob.ok("ping", json!({})).await, json!({}));
}

#[tokio::test]
async fn sends_in_flight_are_appended_in_the_order_in_which_they_came() {
    let server = Server::unlimited().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    for number in 0..500 {
        let send = json!({"id": 1000 + number, "cmd": "send", "conversation": conversation,
            "client_id": number.to_string(), "text": number.to_string()});
        alice.send(Message::text(send.to_string())).await;
    }
    let mut positions = vec![0; 500];
    for _ in 0..500 {
        let reply = loop {
            let frame = alice.next().await;
            if frame["id"].is_u64() {
                break frame;
            }
        };
        let number = reply["id"].as_u64().unwrap() - 1000;
        positions[usize::try_from(number).unwrap()] = reply["ok"]["position"].as_u64().unwrap();
    }
    assert!(positions.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn a_resend_is_the_same_entry() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    let first = alice.say(&conversation, "1", "once").await;
    let mut again = server.connect("alice").await;
    let resend = json!({"conversation": conversation, "client_id": "1", "text": "once",
        "resend": true});
    let second = again.ok("send", resend).await;
    assert_eq!(
        (&second["position"], &second["repeat"]),
        (&first["position"], &json!(true))
    );
}

#[tokio::test]
async fn a_drain_tells_clients_to_move_and_closes_the_rest_with_1012() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    let chat = server.chat.clone();
    let drain = tokio::spawn(async move { chat.drain(Duration::from_millis(300)).await });
    let draining = alice.event("draining").await;
    assert!(draining["reconnect_within_ms"].as_u64().unwrap() <= 300);
    assert_eq!(alice.closed().await, 1012);
    soon("the drain", drain).await.unwrap();
    let answer = server.http("GET", "/readyz", "").await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (503, &json!("draining"))
    );
    let mut late = Client::open(server.request("bob")).await.unwrap();
    assert_eq!(late.closed().await, 1012);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_told_of_a_gap_and_slows_nobody() {
    let options = options().without_rate_limits().with_session_queue(64);
    let router = RouterOptions::default();
    let server = Server::with(options, router, ServeOptions::default()).await;
    let (mut alice, mut bob) = (server.connect("alice").await, server.connect("bob").await);
    let conversation = alice.open_direct("bob").await;
    // More than the systems' buffers and the server's take.
    let text = "x".repeat(16 * 1024);
    for number in 0..1500 {
        alice.say(&conversation, &number.to_string(), &text).await;
    }
    let gap = bob.event("gap").await;
    assert_eq!(gap["conversations"], json!([conversation]));
    let mut cursor = json!(0);
    let mut count = 0;
    loop {
        let page = json!({"conversation": conversation, "after": cursor, "limit": 200});
        let page = bob.ok("history", page).await;
        let entries = page["entries"].as_array().unwrap();
        count += entries.len();
        cursor = entries
            .last()
            .map_or(cursor, |entry| entry["position"].clone());
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(count, 1500);
}
