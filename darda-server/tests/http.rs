//! HTTP, as a client finds it.

#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use darda_server::{MetricsSource, RouterOptions, ServeOptions};
use serde_json::json;
use server::{Client, Server, options, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NOWHERE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn what_was_said_is_read_over_http() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    let first = alice.say(&conversation, "1", "one").await;
    let second = alice.say(&conversation, "2", "two").await;
    let base = format!("/v1/conversations/{conversation}");

    let list = server
        .http("GET", "/v1/conversations?id=bob&limit=10", "")
        .await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(
        list.json()["conversations"][0]["unread"],
        json!({"count": 2, "more": false})
    );
    let page = server
        .http("GET", &format!("{base}/entries?id=bob&limit=1"), "")
        .await
        .json();
    assert_eq!(
        (&page["entries"][0]["text"], &page["more"]),
        (&json!("two"), &json!(true))
    );
    let after = format!("{base}/entries?id=bob&after={}", first["position"]);
    assert_eq!(
        server.http("GET", &after, "").await.json()["entries"][0]["text"],
        "two"
    );
    let members = server
        .http("GET", &format!("{base}/members?id=bob"), "")
        .await
        .json();
    assert_eq!(members["members"].as_array().unwrap().len(), 2);
    let mark = json!({"seen": second["position"]}).to_string();
    let marked = server
        .http("PUT", &format!("{base}/receipts?id=bob"), &mark)
        .await;
    assert_eq!((marked.status, marked.json()), (200, json!({})));
    // Marks are gathered for a moment.
    let written = async {
        loop {
            let receipts = server
                .http("GET", &format!("{base}/receipts?id=alice"), "")
                .await
                .json();
            let of_bob = receipts["receipts"]
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["user"] == "bob");
            if of_bob.unwrap()["seen"] == second["position"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("bob's mark", written).await;
}

#[tokio::test]
async fn whatever_is_wrong_has_a_stable_code() {
    let server = Server::unlimited().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    alice.say(&conversation, "1", "hello").await;
    let of = |rest: &str| format!("/v1/conversations/{conversation}/{rest}");
    let huge = "9".repeat(30);
    for (method, path, body, status, code) in [
        (
            "GET",
            "/v1/conversations".to_owned(),
            "",
            401,
            "unauthenticated",
        ),
        (
            "GET",
            "/v1/conversations?id=".to_owned(),
            "",
            401,
            "unauthenticated",
        ),
        (
            "GET",
            format!("/v1/conversations?id={}", "x".repeat(65)),
            "",
            401,
            "unauthenticated",
        ),
        (
            "GET",
            "/v1/conversations?id=bob&limit=0".to_owned(),
            "",
            400,
            "invalid",
        ),
        (
            "GET",
            "/v1/conversations?id=bob&limit=-1".to_owned(),
            "",
            400,
            "invalid",
        ),
        (
            "GET",
            "/v1/conversations?id=bob&limit=ten".to_owned(),
            "",
            400,
            "invalid",
        ),
        (
            "GET",
            format!("/v1/conversations?id=bob&before={huge}"),
            "",
            400,
            "invalid",
        ),
        ("GET", of("entries?id=bob&before=-1"), "", 400, "invalid"),
        (
            "GET",
            of("entries?id=bob&before=9007199254740992"),
            "",
            400,
            "invalid",
        ),
        (
            "GET",
            of("entries?id=bob&before=1&after=1"),
            "",
            400,
            "invalid",
        ),
        ("GET", of("entries?id=bob&after=%ff"), "", 400, "invalid"),
        ("GET", of("entries?id=mallory"), "", 404, "not_found"),
        ("GET", of("members?id=mallory"), "", 404, "not_found"),
        ("GET", of("receipts?id=mallory"), "", 404, "not_found"),
        (
            "PUT",
            of("receipts?id=mallory"),
            r#"{"seen":1}"#,
            404,
            "not_found",
        ),
        (
            "GET",
            format!("/v1/conversations/{NOWHERE}/entries?id=bob"),
            "",
            404,
            "not_found",
        ),
        (
            "GET",
            "/v1/conversations/x/entries?id=bob".to_owned(),
            "",
            400,
            "invalid",
        ),
        (
            "GET",
            "/v1/conversations/%ff/entries?id=bob".to_owned(),
            "",
            400,
            "invalid",
        ),
        ("PUT", of("receipts?id=bob"), "", 400, "malformed"),
        ("PUT", of("receipts?id=bob"), "seen", 400, "malformed"),
        ("PUT", of("receipts?id=bob"), "{}", 400, "invalid"),
        ("PUT", of("receipts?id=bob"), "[]", 400, "invalid"),
        (
            "PUT",
            of("receipts?id=bob"),
            r#"{"seen":"1"}"#,
            400,
            "invalid",
        ),
        (
            "PUT",
            of("receipts?id=bob"),
            r#"{"seen":-1}"#,
            400,
            "invalid",
        ),
        (
            "PUT",
            of("receipts?id=bob"),
            r#"{"seen":1e300}"#,
            400,
            "invalid",
        ),
        (
            "PUT",
            of("receipts?id=bob"),
            r#"{"seen":9007199254740992}"#,
            400,
            "invalid",
        ),
        ("POST", of("receipts?id=bob"), "{}", 405, "invalid"),
        (
            "DELETE",
            "/v1/conversations?id=bob".to_owned(),
            "",
            405,
            "invalid",
        ),
        ("GET", "/v1/nothing?id=bob".to_owned(), "", 404, "not_found"),
        ("GET", "/nothing.js".to_owned(), "", 404, "not_found"),
        ("GET", "/../Cargo.toml".to_owned(), "", 404, "not_found"),
        ("GET", "/docs/nothing".to_owned(), "", 404, "not_found"),
    ] {
        let answer = server.http(method, &path, body).await;
        assert_eq!(
            answer.error(),
            (status, code.to_owned()),
            "{method} {path} {body}"
        );
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            !message.is_empty() && message.len() < 300,
            "{method} {path}: {message}"
        );
    }
    let body = vec![b' '; darda_server::limits::MAX_BODY_BYTES + 1];
    let answer = server
        .http_with("PUT", &of("receipts?id=bob"), &[], &body)
        .await;
    assert_eq!(answer.error(), (413, "too_large".to_owned()));
    let answer = server
        .http_with("PUT", &of("receipts?id=bob"), &[], b"{\"seen\":\"\xff\"}")
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_node_that_drains_goes_on_answering_and_lets_its_connections_go() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    alice.say(&conversation, "1", "hello").await;
    let chat = server.chat.clone();
    let drain = tokio::spawn(async move { chat.drain(Duration::from_secs(2)).await });
    alice.event("draining").await;

    let mut kept = TcpStream::connect(server.address).await.unwrap();
    let path = format!("/v1/conversations/{conversation}/entries?id=bob");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    kept.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the end", kept.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains(r#""text":"hello""#), "{answer}");
    let mark = server
        .http("PUT", &path.replace("entries", "receipts"), r#"{"seen":1}"#)
        .await;
    assert_eq!(mark.status, 200, "{mark:?}");

    let mut late = Client::open(server.request("bob")).await.unwrap();
    assert_eq!(late.closed().await, 1012);
    assert!(!drain.is_finished(), "the drain was over before the end");
    assert_eq!(alice.closed().await, 1012);
}

#[tokio::test]
async fn who_asks_over_http_is_not_shown_as_connected() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    let list = server.http("GET", "/v1/conversations?id=bob", "").await;
    assert_eq!(list.status, 200, "{list:?}");
    let presence = json!({"conversation": conversation});
    let presence = alice.ok("presence", presence).await;
    // Neither now, nor a moment ago.
    let bob = json!([{"user": "bob", "online": false}]);
    assert_eq!(presence["presence"], bob);
}

#[tokio::test]
async fn absurd_limits_are_cut_and_unknown_parameters_ignored() {
    let server = Server::start().await;
    let mut alice = server.connect("alice").await;
    let conversation = alice.open_direct("bob").await;
    alice.say(&conversation, "1", "hello").await;
    let path = format!(
        "/v1/conversations/{conversation}/entries?id=bob&limit=18446744073709551615&colour=blue"
    );
    let answer = server.http("GET", &path, "").await;
    assert_eq!(
        (
            answer.status,
            answer.json()["entries"].as_array().unwrap().len()
        ),
        (200, 1)
    );
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let server = Server::start().await;
    let headers = [("origin", "https://evil.example.org")];
    let answer = server
        .http_with("GET", "/v1/conversations?id=bob", &headers, b"")
        .await;
    assert_eq!(answer.error(), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn pages_of_allowed_origins_and_of_no_others_may_read_the_answers() {
    const ALLOWS: &str = "access-control-allow-origin: ";
    let listed = "https://app.example.org";
    let router = RouterOptions::default().with_allowed_origins([listed.to_owned()]);
    let server = Server::with(options(), router, ServeOptions::default()).await;
    let receipts = format!("/v1/conversations/{NOWHERE}/receipts?id=bob");
    let asks = [
        ("access-control-request-method", "PUT"),
        (
            "access-control-request-headers",
            "authorization, content-type",
        ),
    ];

    for (path, status) in [
        ("/v1/conversations?id=bob", 200),
        ("/v1/conversations", 401),
        (receipts.as_str(), 404),
    ] {
        let answer = server
            .http_with("GET", path, &[("origin", listed)], b"")
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
        let allows = format!("{ALLOWS}{listed}\r\n");
        assert!(answer.head.contains(&allows), "{path}: {answer:?}");
    }
    let preflight = [&[("origin", listed)][..], &asks].concat();
    let answer = server
        .http_with("OPTIONS", &receipts, &preflight, b"")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for line in [
        "access-control-allow-origin: https://app.example.org\r\n",
        "access-control-allow-methods: get,put\r\n",
        "access-control-allow-headers: authorization,content-type\r\n",
    ] {
        assert!(answer.head.contains(line), "{line}: {answer:?}");
    }

    let preflight = [&[("origin", "https://evil.example.org")][..], &asks].concat();
    for method in ["GET", "OPTIONS"] {
        let answer = server.http_with(method, &receipts, &preflight, b"").await;
        assert_eq!(answer.error(), (403, "forbidden".to_owned()));
        assert!(!answer.head.contains(ALLOWS), "{method}: {answer:?}");
    }
    let document = server
        .http_with("GET", "/openapi.json", &[("origin", listed)], b"")
        .await;
    assert!(!document.head.contains(ALLOWS), "{document:?}");
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let server = Server::start().await;
    for _ in 0..500 {
        let answer = server.http("GET", "/v1/conversations?id=bob", "").await;
        if answer.status == 429 {
            assert_eq!(answer.error().1, "rate_limited");
            assert!(answer.head.contains("retry-after: "), "{answer:?}");
            let other = server.http("GET", "/v1/conversations?id=alice", "").await;
            assert_eq!(other.status, 200);
            return;
        }
    }
    panic!("500 requests at once were all let through");
}

#[tokio::test]
async fn health_and_readiness_answer_without_a_name() {
    let server = Server::start().await;
    let health = server.http("GET", "/healthz", "").await;
    assert_eq!(
        (health.status, health.json()),
        (200, json!({"status": "ok"}))
    );
    let ready = server.http("GET", "/readyz", "").await;
    assert_eq!(ready.status, 200);
    let ports = ready.json()["ports"].as_array().unwrap().clone();
    assert_eq!(ports.len(), 4);
    assert!(ports.iter().all(|port| port["ok"] == true));
}

#[tokio::test]
async fn metrics_are_those_of_the_source_and_else_there_are_none() {
    let server = Server::start().await;
    assert_eq!(server.http("GET", "/metrics", "").await.status, 404);
    let router =
        RouterOptions::default().with_metrics(MetricsSource::new(|| "darda_x 1\n".to_owned()));
    let server = Server::with(options(), router, ServeOptions::default()).await;
    let answer = server.http("GET", "/metrics", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "darda_x 1\n"));
}

#[tokio::test]
async fn the_documents_and_their_viewer_come_from_the_server_alone() {
    let server = Server::start().await;
    let api = server.http("GET", "/openapi.json", "").await;
    assert_eq!((api.status, &api.json()["openapi"]), (200, &json!("3.1.0")));
    for path in ["/docs", "/docs/docs.js", "/docs/docs.css"] {
        let answer = server.http("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("https://"), "{path}");
        assert!(
            answer
                .head
                .contains("content-security-policy: default-src 'none'"),
            "{path}"
        );
        assert!(
            answer.head.contains("x-content-type-options: nosniff"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_page_is_served_and_asked_about_again() {
    let server = Server::start().await;
    let page = server.http("GET", "/", "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    assert!(
        page.head.contains("content-security-policy: "),
        "{}",
        page.head
    );
    let tag = page
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    let again = server
        .http_with("GET", "/", &[("if-none-match", &tag)], b"")
        .await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));

    let without = RouterOptions::default().without_page();
    let server = Server::with(options(), without, ServeOptions::default()).await;
    assert_eq!(server.http("GET", "/", "").await.status, 404);
}
