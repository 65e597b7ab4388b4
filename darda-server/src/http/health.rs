//! For whoever runs the server: is it alive, may it get traffic, how is it doing.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use darda_core::{Chat, PortHealth};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::router::AppState;

/// How long an answer of the ports is good for: whoever asks often costs them nothing more.
const FRESH: Duration = Duration::from_secs(1);

/// What the ports said last.
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
        for port in health.iter().filter(|port| !port.ok) {
            tracing::warn!(port = port.port, detail = port.detail, "port is unhealthy");
        }
        *last = Some((Instant::now(), health.clone()));
        health
    }
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, `draining` or `unavailable`.
    status: &'static str,
    /// Whether each port answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    ports: Vec<Port>,
}

/// One port.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Port {
    port: &'static str,
    ok: bool,
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Response {
    axum::Json(Health {
        status: "ok",
        ports: Vec::new(),
    })
    .into_response()
}

/// Whether it may get traffic
#[utoipa::path(
    get, path = "/readyz",
    responses((status = 200, body = Health), (status = 503, body = Health))
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Response {
    let chat = state.chat();
    let health = state.readiness().of(chat).await;
    let status = if chat.is_draining() {
        "draining"
    } else if health.iter().all(|port| port.ok) {
        "ok"
    } else {
        "unavailable"
    };
    let ports = health
        .iter()
        .map(|port| Port {
            port: port.port,
            ok: port.ok,
        })
        .collect();
    let code = if status == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, axum::Json(Health { status, ports })).into_response()
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
