//! The socket, as a client finds it.

#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use darda_core::Rate;
use darda_server::{RouterOptions, ServeOptions};
use serde_json::{Value, json};
use server::{Client, Server, options, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};

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
        json!({"user": "alice", "online": true})
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
        let reply = alice.next().await;
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
async fn who_is_not_let_in_is_closed_with_4401() {
    let server = Server::start().await;
    for id in ["", "a%00b", &"x".repeat(65)] {
        let mut stranger = Client::open(server.request(id)).await.unwrap();
        assert_eq!(stranger.closed().await, 4401, "{id}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let listed = "https://app.example.org";
    let router = RouterOptions::default().with_allowed_origins([listed.to_owned()]);
    let server = Server::with(options(), router, ServeOptions::default()).await;
    let own = format!("http://{}", server.address);
    for (origin, allowed) in [
        (own.as_str(), true),
        (listed, true),
        ("https://evil.example.org", false),
        ("null", false),
    ] {
        let mut request = server.request("alice");
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        match Client::open(request).await {
            Ok(_) => assert!(allowed, "{origin}"),
            Err(Error::Http(answer)) => assert!(!allowed && answer.status() == 403, "{origin}"),
            Err(error) => panic!("{origin}: {error}"),
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_is_none_is_refused_with_a_reason() {
    let server = Server::start().await;
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let whole = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        key,
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "darda.v1"),
    ];
    for (name, other, status) in [
        ("upgrade", None, 426),
        ("sec-websocket-version", Some("8"), 426),
        ("sec-websocket-key", None, 400),
        ("sec-websocket-key", Some("short"), 400),
        ("sec-websocket-protocol", None, 400),
        ("sec-websocket-protocol", Some("darda.v2"), 400),
    ] {
        let headers: Vec<_> = whole
            .iter()
            .filter_map(|&(key, value)| {
                if key == name {
                    other.map(|other| (key, other))
                } else {
                    Some((key, value))
                }
            })
            .collect();
        let answer = server
            .http_with("GET", "/v1/ws?id=alice", &headers, b"")
            .await;
        assert_eq!(
            answer.error(),
            (status, "invalid".to_owned()),
            "{name}: {other:?}"
        );
    }
}

#[tokio::test]
async fn malformed_frames_are_answered_until_there_are_too_many() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    alice.send(Message::text("hello")).await;
    let reply = alice.next().await;
    assert_eq!(
        (&reply["id"], &reply["error"]["code"]),
        (&Value::Null, &json!("malformed"))
    );
    assert_eq!(alice.ok("ping", json!({})).await, json!({}));
    for _ in 0..100 {
        alice.send(Message::text("hello")).await;
    }
    assert_eq!(alice.closed().await, 4400);
}

#[tokio::test]
async fn binary_and_oversized_frames_close_with_their_codes() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    alice.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(alice.closed().await, 1003);
    let mut bob = server.connect("bob").await;
    bob.send(Message::text(
        "x".repeat(darda_server::wire::MAX_FRAME_BYTES + 1),
    ))
    .await;
    assert_eq!(bob.closed().await, 1009);
}

#[tokio::test]
async fn a_client_that_closes_gets_its_close_answered() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    alice.send(Message::Close(None)).await;
    assert_eq!(alice.closed().await, 1000);
}

#[tokio::test]
async fn commands_above_the_rate_are_refused_and_a_flood_is_closed() {
    let rate = Rate {
        per_second: 1,
        burst: 10,
    };
    let options = options().with_session_rate(rate);
    let server = Server::with(options, RouterOptions::default(), ServeOptions::default()).await;
    let mut alice = server.connect("alice").await;
    let mut limited = None;
    for _ in 0..30 {
        let reply = alice.reply("blocks", json!({})).await;
        if reply["error"]["code"] == "rate_limited" {
            limited = reply["error"]["retry_after_ms"].as_u64();
        }
    }
    assert!(limited.is_some_and(|after| after > 0));
    for id in 0..3000 {
        alice
            .send(Message::text(
                json!({"id": id, "cmd": "blocks"}).to_string(),
            ))
            .await;
    }
    assert_eq!(alice.closed().await, 4429);
}

#[tokio::test]
async fn a_flood_of_pings_is_closed() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    for id in 0..3000 {
        alice
            .send(Message::text(json!({"id": id, "cmd": "ping"}).to_string()))
            .await;
    }
    assert_eq!(alice.closed().await, 4429);
}

/// A client by hand, to say what a library would not.
async fn raw(server: &Server, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "GET /v1/ws?id={user} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: darda.v1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the server closes.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = soon("the end", stream.read_to_end(&mut bytes)).await;
    bytes
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn the_key_is_answered_as_the_standard_says() {
    let server = Server::start().await;
    let mut stream = raw(&server, "alice").await;
    let mut head = [0; 512];
    let length = soon("the answer", stream.read(&mut head)).await.unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    assert!(head.contains("sec-websocket-protocol: darda.v1"), "{head}");
}

#[tokio::test]
async fn a_silent_peer_is_closed_with_4408() {
    let router = RouterOptions::default().with_heartbeat(Duration::from_millis(100));
    let server = Server::with(options(), router, ServeOptions::default()).await;
    let bytes = rest(raw(&server, "alice").await).await;
    assert!(holds(&bytes, &[0x89, 0]), "no ping");
    let [a, b] = 4408_u16.to_be_bytes();
    assert!(holds(&bytes, &[0x88, 15, a, b]), "no close");
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays() {
    let router = RouterOptions::default().with_heartbeat(Duration::from_millis(50));
    let server = Server::with(options(), router, ServeOptions::default()).await;
    let mut alice = server.connect("alice").await;
    let pings = async {
        // The client's library answers each ping while it is read from.
        tokio::time::timeout(Duration::from_millis(400), alice.next())
            .await
            .unwrap_err()
    };
    pings.await;
    assert_eq!(alice.ok("ping", json!({})).await, json!({}));
}

#[tokio::test]
async fn a_text_that_is_not_utf8_is_answered_and_the_connection_lives() {
    let server = Server::start().await;
    let mut stream = raw(&server, "alice").await;
    let mut frames = vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe];
    let ping = br#"{"id":7,"cmd":"ping"}"#;
    frames.extend_from_slice(&[0x81, 0x80 | 21, 0, 0, 0, 0]);
    frames.extend_from_slice(ping);
    frames.extend_from_slice(&[0x88, 0x80, 0, 0, 0, 0]);
    stream.write_all(&frames).await.unwrap();
    let bytes = rest(stream).await;
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains(r#"{"id":null,"error":{"code":"malformed""#),
        "{text}"
    );
    assert!(text.contains(r#"{"id":7,"ok":{}}"#), "{text}");
}

#[tokio::test]
async fn a_frame_that_comes_byte_by_byte_is_read() {
    let server = Server::start().await;
    let mut stream = raw(&server, "alice").await;
    let mut frames = vec![0x81, 0x80 | 21, 0, 0, 0, 0];
    frames.extend_from_slice(br#"{"id":7,"cmd":"ping"}"#);
    frames.extend_from_slice(&[0x88, 0x80, 0, 0, 0, 0]);
    stream.set_nodelay(true).unwrap();
    for byte in frames {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let bytes = rest(stream).await;
    assert!(holds(&bytes, br#"{"id":7,"ok":{}}"#));
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
