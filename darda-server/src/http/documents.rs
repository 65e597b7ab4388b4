//! The API's description, from the code, and a viewer that needs no outside host.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;

use super::page::content_type;
use super::{conversations, health, no_such_route};

const HTML: &str = include_str!("docs/index.html");
const SCRIPT: &str = include_str!("docs/docs.js");
const STYLE: &str = include_str!("docs/docs.css");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Darda",
        description = "What of Darda is not live. The socket at /v1/ws is described in docs/protocol.md.",
    ),
    paths(
        conversations::conversations,
        conversations::entries,
        conversations::members,
        conversations::receipts,
        conversations::mark,
        health::healthz,
        health::readyz,
        health::metrics,
    )
)]
struct Document;

/// The description of the HTTP API, OpenAPI 3.1.
#[must_use]
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) async fn openapi() -> Response {
    axum::Json(openapi_document()).into_response()
}

pub(crate) async fn docs() -> Response {
    typed("index.html", HTML)
}

pub(crate) async fn docs_file(file: Result<Path<String>, PathRejection>) -> Response {
    match file.as_ref().map(|file| file.as_str()) {
        Ok("docs.js") => typed("docs.js", SCRIPT),
        Ok("docs.css") => typed("docs.css", STYLE),
        _ => no_such_route().await.into_response(),
    }
}

fn typed(file: &str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type(file)),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
