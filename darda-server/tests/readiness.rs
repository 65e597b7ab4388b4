//! Readiness says what is degraded, and takes no node away because of a port.

#![allow(clippy::unwrap_used)] // its fixtures are parts of tests

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use darda_core::faults::{
    Faults, FaultyBroker, FaultyCache, FaultyRegistry, FaultyStore, Port, Trouble,
};
use darda_core::resilience::Resilience;
use darda_core::{Chat, Options, Ports};
use darda_server::RouterOptions;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

const ALL: [Port; 4] = [Port::Broker, Port::Store, Port::Cache, Port::Registry];

struct Node {
    chat: Chat,
    faults: Faults,
    router: Router,
}

impl Node {
    /// A node on ports that break on demand; on wrapped ones, as the server's, or as they are.
    fn new(resilience: Option<Resilience>) -> Self {
        let faults = Faults::new(1);
        let ports = Ports::in_memory();
        let ports = Ports::new(
            Arc::new(FaultyBroker::new(ports.broker, faults.clone())),
            Arc::new(FaultyStore::new(ports.store, faults.clone())),
            Arc::new(FaultyCache::new(ports.cache, faults.clone())),
            Arc::new(FaultyRegistry::new(ports.registry, faults.clone())),
        );
        let ports = match resilience {
            Some(resilience) => ports.resilient(&resilience),
            None => ports,
        };
        let chat = Chat::start(ports, Options::default());
        let router = darda_server::operations(chat.clone(), RouterOptions::default());
        Self {
            chat,
            faults,
            router,
        }
    }

    fn refuse(&self, port: Port) {
        let refuse = Trouble::none().with_failures_before(1.0);
        self.faults.set(port, refuse);
    }

    async fn readyz(&self) -> (u16, Value) {
        let request = Request::get("/readyz").body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 65_536).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// What it says when the last answer is good no longer.
    async fn fresh_readyz(&self) -> (u16, Value) {
        sleep(Duration::from_secs(1)).await;
        self.readyz().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_ports_are_well_is_ok() {
    let node = Node::new(Some(Resilience::default()));
    let port = |port| json!({"port": port, "ok": true, "breaker": "closed"});
    let ports = ["broker", "store", "cache", "registry"].map(port);
    let ok = json!({"status": "ok", "ports": ports});
    assert_eq!(node.readyz().await, (200, ok));
}

#[tokio::test(start_paused = true)]
async fn a_node_stays_ready_without_its_store_and_says_that_it_is_degraded() {
    let quick = Resilience::default().with_breaker(3, Duration::from_millis(100));
    let node = Node::new(Some(quick));
    node.refuse(Port::Store);
    let (status, body) = node.readyz().await;
    assert_eq!(status, 200);
    assert_eq!(body["status"], "degraded");
    assert_eq!(body["degraded"], json!(["store"]));
    let store = json!({"port": "store", "ok": false, "breaker": "open"});
    assert_eq!(body["ports"][1], store);
}

#[tokio::test(start_paused = true)]
async fn a_port_is_degraded_until_its_breaker_has_closed() {
    let quick = Resilience::default().with_breaker(3, Duration::from_millis(100));
    let node = Node::new(Some(quick));
    node.refuse(Port::Store);
    assert_eq!(node.readyz().await.1["ports"][1]["breaker"], "open");
    node.faults.heal(Port::Store);
    for _ in 0..2 {
        let (_, body) = node.fresh_readyz().await;
        assert_eq!(body["degraded"], json!(["store"]));
        let store = json!({"port": "store", "ok": true, "breaker": "half-open"});
        assert_eq!(body["ports"][1], store);
    }
    assert_eq!(node.fresh_readyz().await.1["status"], "ok");
}

#[tokio::test(start_paused = true)]
async fn a_node_stays_ready_without_any_port() {
    let node = Node::new(None);
    ALL.into_iter().for_each(|port| node.refuse(port));
    let (status, body) = node.readyz().await;
    assert_eq!(status, 200);
    let all = json!(["broker", "store", "cache", "registry"]);
    assert_eq!(body["degraded"], all);
    let broker = json!({"port": "broker", "ok": false});
    assert_eq!(body["ports"][0], broker);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_gives_up_after_a_second_and_is_answered_before_that() {
    let node = Node::new(Some(Resilience::default()));
    let hanging = Trouble::none().with_hanging();
    for port in ALL {
        node.faults.set(port, hanging.clone());
    }
    let start = Instant::now();
    assert_eq!(node.readyz().await.0, 200);
    assert!(start.elapsed() < Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_is_not_ready_and_still_says_what_is_degraded() {
    let node = Node::new(Some(Resilience::default()));
    node.refuse(Port::Cache);
    node.chat.drain(Duration::ZERO).await;
    let (status, body) = node.readyz().await;
    assert_eq!((status, &body["status"]), (503, &json!("draining")));
    assert_eq!(body["degraded"], json!(["cache"]));
}
