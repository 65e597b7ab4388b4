//! Many hostile sockets at once. Alone in its process: it looks at the process's memory.

#[path = "support/server.rs"]
mod server;

use std::time::{Duration, Instant};

use darda_server::{RouterOptions, ServeOptions};
use serde_json::json;
use server::{Server, options, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Resident memory of this process, in KiB, where the system says so.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

async fn ended(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = soon("the end", stream.read_to_end(&mut bytes)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_half_open_sockets_cost_little_end_soon_and_touch_nobody() {
    const SOCKETS: usize = 3000;
    let timeout = Duration::from_millis(1500);
    let serve = ServeOptions::default().with_header_timeout(timeout);
    let server = Server::with(options(), RouterOptions::default(), serve).await;
    let (mut alice, mut bob) = (server.connect("alice").await, server.connect("bob").await);
    let conversation = alice.open_direct("bob").await;
    alice.say(&conversation, "before", "before").await;
    let before = resident();

    let mut sockets = Vec::with_capacity(SOCKETS);
    for number in 0..SOCKETS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if number % 2 == 1 {
            stream
                .write_all(b"GET /v1/ws?id=mallory HTTP/1.1\r\nhost: x\r\nx-slow: ")
                .await
                .unwrap();
        }
        sockets.push(stream);
    }
    let asked = Instant::now();
    alice.say(&conversation, "during", "during").await;
    bob.event("entry").await;
    assert_eq!(bob.event("entry").await["text"], "during");
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "others are kept waiting"
    );
    if let (Some(before), Some(now)) = (before, resident()) {
        let each = now.saturating_sub(before) * 1024 / SOCKETS as u64;
        assert!(each < 40 * 1024, "{each} bytes for each half-open socket");
    }
    for stream in &mut sockets {
        ended(stream).await;
    }
    assert_eq!(alice.ok("ping", json!({})).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_above_the_limit_are_closed_at_once() {
    let serve = ServeOptions::default().with_max_sockets(3);
    let server = Server::with(options(), RouterOptions::default(), serve).await;
    let mut alice = server.connect("alice").await;
    let _held = [
        TcpStream::connect(server.address).await.unwrap(),
        TcpStream::connect(server.address).await.unwrap(),
    ];
    let mut fourth = TcpStream::connect(server.address).await.unwrap();
    ended(&mut fourth).await;
    assert_eq!(alice.ok("ping", json!({})).await, json!({}));
    // A socket that leaves makes room.
    drop(alice);
    let connects = async {
        loop {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = [0; 12];
            if stream.read_exact(&mut answer).await.is_ok() {
                return answer;
            }
        }
    };
    assert_eq!(&soon("room", connects).await, b"HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_frames_at_once_end_in_a_close_and_memory_stays_flat() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.connect("alice").await, server.connect("bob").await);
    let conversation = alice.open_direct("bob").await;
    let before = resident();

    let url = server.request("mallory");
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let (mut sink, mut stream) = futures::StreamExt::split(socket);
    let flood = tokio::spawn(async move {
        for id in 0..1_000_000 {
            let send = json!({"id": id, "cmd": "open_direct", "user": "bob"}).to_string();
            if futures::SinkExt::feed(&mut sink, Message::text(send))
                .await
                .is_err()
            {
                return id;
            }
        }
        1_000_000
    });
    let close = async {
        while let Some(Ok(message)) = futures::StreamExt::next(&mut stream).await {
            if let Message::Close(Some(close)) = message {
                return u16::from(close.code);
            }
        }
        1006
    };
    let asked = Instant::now();
    alice.say(&conversation, "during", "during").await;
    assert_eq!(bob.event("entry").await["text"], "during");
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "others are kept waiting"
    );
    let code = soon("the close", close).await;
    assert_eq!(code, 4429);
    assert!(soon("the flood's end", flood).await.unwrap() < 1_000_000);
    if let (Some(before), Some(now)) = (before, resident()) {
        assert!(
            now.saturating_sub(before) < 64 * 1024,
            "{before} KiB before, {now} KiB after"
        );
    }
}
