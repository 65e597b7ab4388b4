//! The socket's own rules: who gets in, what closes it and with which code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use darda_core::Rate;
use darda_server::{RouterOptions, ServeOptions};
use serde_json::{Value, json};
use server::{Client, Server, options, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};

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
    let stream = TcpStream::connect(server.address).await.unwrap();
    upgrade(stream, user).await
}

async fn upgrade(mut stream: TcpStream, user: &str) -> TcpStream {
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

const SLOW_HEARTBEAT: Duration = Duration::from_millis(100);

/// A client that has asked for a page of 1.6 MB, over a connection whose buffers hold little of it, and
/// that answers no ping: the first one comes behind the page.
async fn asked_for_much() -> (Server, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(32 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = Server::on(
        socket.listen(8).unwrap(),
        options().without_rate_limits(),
        RouterOptions::default().with_heartbeat(SLOW_HEARTBEAT),
        ServeOptions::default(),
    );
    let mut bob = server.connect("bob").await;
    let conversation = bob.open_direct("alice").await;
    let text = "x".repeat(8 * 1024);
    for number in 1..200 {
        bob.say(&conversation, &number.to_string(), &text).await;
    }
    bob.say(&conversation, "200", "the last one").await;
    drop(bob);

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut alice = upgrade(stream, "alice").await;
    let ask = json!({"id": 7, "cmd": "history", "conversation": conversation, "limit": 200});
    let ask = ask.to_string();
    let length = u8::try_from(ask.len()).unwrap();
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(ask.as_bytes());
    alice.write_all(&frame).await.unwrap();
    (server, alice)
}

#[tokio::test]
async fn a_slow_reader_that_goes_on_reading_gets_its_whole_reply() {
    let (_server, mut alice) = asked_for_much().await;
    let start = Instant::now();
    let mut pace = tokio::time::interval(SLOW_HEARTBEAT / 5);
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 32 * 1024]);
    while !holds(
        &bytes[bytes.len().saturating_sub(64 * 1024)..],
        b"the last one",
    ) {
        pace.tick().await;
        let length = soon("more", alice.read(&mut chunk)).await.unwrap();
        assert_ne!(length, 0, "closed after {} bytes", bytes.len());
        bytes.extend_from_slice(&chunk[..length]);
    }
    assert!(
        start.elapsed() > 4 * SLOW_HEARTBEAT,
        "read too fast to tell"
    );
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_in_time() {
    let (server, mut alice) = asked_for_much().await;
    let mut chunk = vec![0; 32 * 1024];
    for _ in 0..8 {
        soon("more", alice.read(&mut chunk)).await.unwrap();
    }
    let start = Instant::now();
    let gone = async {
        while server.chat.session_count() > 0 {
            tokio::time::sleep(SLOW_HEARTBEAT / 10).await;
        }
    };
    soon("the end", gone).await;
    assert!(
        start.elapsed() < 20 * SLOW_HEARTBEAT,
        "{:?}",
        start.elapsed()
    );
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
