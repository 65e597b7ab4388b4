//! For whoever runs the server: is it alive, may it get traffic, how is it doing.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use darda_core::resilience::BreakerState;
use darda_core::{Chat, PortHealth};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::router::AppState;

/// How long an answer of the ports is good for: whoever asks often costs them nothing more.
const FRESH: Duration = Duration::from_secs(1);

/// What the ports said last.
///
/// It is no reason to take traffic away: all nodes share the ports, and would be taken out at once,
/// although each of them still does what it can without the port.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Vec<PortHealth>)>>);

impl Readiness {
    async fn of(&self, chat: &Chat) -> Vec<PortHealth> {
        let mut last = self.0.lock().await;
        if let Some((at, health)) = &*last
            && at.elapsed() < FRESH
        {
            return health.clone();
        }
        let health = chat.health().await;
        tell_changes(last.as_ref().map(|(_, before)| before.as_slice()), &health);
        *last = Some((Instant::now(), health.clone()));
        health
    }
}

/// Whoever asks every second wants no line every second.
fn tell_changes(before: Option<&[PortHealth]>, now: &[PortHealth]) {
    let was_degraded = |name: &str| {
        let before = before.unwrap_or_default();
        before.iter().any(|it| it.port == name && it.is_degraded())
    };
    for port in now {
        match (was_degraded(port.port), port.is_degraded()) {
            (false, true) => {
                tracing::warn!(port = port.port, detail = port.detail, "port is degraded");
            }
            (true, false) => tracing::info!(port = port.port, "port is well again"),
            _ => {}
        }
    }
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`; `degraded`: it serves, but not all of it works; `draining`: it wants no new clients.
    status: &'static str,
    /// The ports because of which something fails or waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    degraded: Vec<&'static str>,
    /// Whether each port answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    ports: Vec<Port>,
}

/// One port.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Port {
    port: &'static str,
    /// Whether it answered within half a second.
    ok: bool,
    /// Whether calls to it are let through: `closed`, `half-open` or `open`.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<&'static str>,
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Response {
    axum::Json(Health {
        status: "ok",
        degraded: Vec::new(),
        ports: Vec::new(),
    })
    .into_response()
}

/// Whether it may get traffic
///
/// Only a node that drains may not: without one of its ports, or all of them, it still does what can
/// be done without, and a client that moved would find every other node the same.
#[utoipa::path(
    get, path = "/readyz",
    responses((status = 200, body = Health), (status = 503, body = Health))
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Response {
    let chat = state.chat();
    let health = state.readiness().of(chat).await;
    let degraded: Vec<_> = health
        .iter()
        .filter(|port| port.is_degraded())
        .map(|port| port.port)
        .collect();
    let (code, status) = if chat.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if degraded.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::OK, "degraded")
    };
    let ports = health
        .iter()
        .map(|port| Port {
            port: port.port,
            ok: port.ok,
            breaker: port.breaker.map(BreakerState::as_str),
        })
        .collect();
    let health = Health {
        status,
        degraded,
        ports,
    };
    (code, axum::Json(health)).into_response()
}

/// All metrics, in Prometheus' text format
#[utoipa::path(get, path = "/metrics", responses((status = 200, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<AppState>) -> Response {
    let text = state
        .options()
        .metrics
        .as_ref()
        .map(|metrics| metrics.render())
        .unwrap_or_default();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}
