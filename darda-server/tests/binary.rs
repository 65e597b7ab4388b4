//! The binary as it is run: it starts, serves, drains at SIGTERM, and ends well.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("not in time"))
}

async fn start(settings: &[(&str, &str)]) -> (Child, SocketAddr) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_darda-server"))
        .env_clear()
        .env("DARDA_LISTEN", "127.0.0.1:0")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = soon(lines.next_line()).await.unwrap().unwrap();
    let address = line
        .strip_prefix("listening on http://")
        .unwrap()
        .parse()
        .unwrap();
    (server, address)
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn it_serves_and_at_sigterm_it_drains_and_ends_well() {
    let (mut server, address) = start(&[("DARDA_DRAIN_MS", "200")]).await;
    let mut request = format!("ws://{address}/v1/ws?id=alice")
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "darda.v1".parse().unwrap());
    let (mut socket, _) = soon(Box::pin(tokio_tungstenite::connect_async(request)))
        .await
        .unwrap();
    let hello = soon(socket.next()).await.unwrap().unwrap();
    assert!(
        hello
            .to_text()
            .unwrap()
            .starts_with(r#"{"event":"hello","user":"alice""#)
    );
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("# HELP darda_sessions "), "{metrics}");
    assert!(metrics.contains("\ndarda_connections 1\n"), "{metrics}");

    let pid = Pid::from_raw(i32::try_from(server.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let (mut draining, mut code) = (false, 0);
    while let Some(Ok(message)) = soon(socket.next()).await {
        match message {
            Message::Text(text) => draining |= text.contains("draining"),
            Message::Close(Some(close)) => code = close.code.into(),
            _ => {}
        }
    }
    assert_eq!((draining, code), (true, 1012));
    assert!(soon(server.wait()).await.unwrap().success());
}

#[tokio::test]
async fn it_says_loudly_that_it_authenticates_for_development_only() {
    let (mut server, _) = start(&[("DARDA_DRAIN_MS", "0")]).await;
    let pid = Pid::from_raw(i32::try_from(server.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(soon(server.wait()).await.unwrap().success());
    let mut logs = String::new();
    soon(server.stderr.take().unwrap().read_to_string(&mut logs))
        .await
        .unwrap();
    assert!(logs.contains("DEVELOPMENT AUTHENTICATION"), "{logs}");
}

#[tokio::test]
async fn a_writer_serves_nobody_but_says_how_it_is() {
    let (_server, address) = start(&[("DARDA_ROLE", "writer")]).await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 404),
    ] {
        let answer = get(address, path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
    }
}

async fn healthcheck(arguments: &[&str], settings: &[(&str, &str)]) -> std::process::Output {
    let mut asking = Command::new(env!("CARGO_BIN_EXE_darda-server"));
    let asking = asking.arg("healthcheck").args(arguments).env_clear();
    soon(asking.envs(settings.iter().copied()).output())
        .await
        .unwrap()
}

#[tokio::test]
async fn its_healthcheck_says_whether_a_server_is_well() {
    let (mut server, address) = start(&[]).await;
    let (listen, url) = (address.to_string(), format!("http://{address}/readyz"));
    let own: &[(&str, &str)] = &[("DARDA_LISTEN", &listen)];
    assert!(healthcheck(&[], own).await.status.success());
    assert!(healthcheck(&[&url], &[]).await.status.success());

    let elsewhere = healthcheck(&[&format!("http://{address}/nothing")], &[]).await;
    let said = String::from_utf8(elsewhere.stderr).unwrap();
    assert!(!elsewhere.status.success());
    assert!(said.contains("404"), "{said}");

    server.kill().await.unwrap();
    let gone = healthcheck(&[], own).await;
    let said = String::from_utf8(gone.stderr).unwrap();
    assert!(!gone.status.success());
    assert!(said.contains(&listen), "{said}");
}

#[tokio::test]
async fn its_healthcheck_does_not_wait_for_ever() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let asked = healthcheck(&[], &[("DARDA_LISTEN", &address)]).await;
    assert!(!asked.status.success());
}
