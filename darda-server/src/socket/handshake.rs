//! The upgrade from HTTP.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use darda_core::{Error, ErrorKind};
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

use super::frame::Close;
use crate::auth::AuthError;
use crate::error::{Code, HttpError};
use crate::router::AppState;
use crate::wire::SUBPROTOCOL;

/// `GET /v1/ws`
pub(crate) async fn upgrade(State(state): State<AppState>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let accept = match accept(&parts.headers) {
        Ok(accept) => accept,
        Err(refusal) => return *refusal,
    };
    let Some(upgraded) = parts.extensions.remove::<OnUpgrade>() else {
        return upgrade_required("this connection cannot be upgraded");
    };
    // Before the answer: a client that sees it misses nothing from then on. What is refused is said
    // by a close code: a browser's script does not get to see an HTTP status.
    let session = match state.authenticate(&parts).await {
        Ok(user) => Box::pin(state.chat().connect(user))
            .await
            .map_err(|error| refused(&error, state.chat().is_draining())),
        Err(AuthError::Unauthenticated(_)) => Err(Close::UNAUTHENTICATED),
        Err(AuthError::Unavailable(_)) => Err(Close::TRY_LATER),
    };
    let seat = parts.extensions.remove::<crate::serve::Seat>();
    let tasks = state.options().tasks.clone();
    tasks.spawn(async move {
        super::serve(state, upgraded, session).await;
        drop(seat);
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        ),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn refused(error: &Error, draining: bool) -> Close {
    match error.kind() {
        _ if draining => Close::RESTART,
        ErrorKind::Closed => Close::RESTART,
        ErrorKind::RateLimited => Close::FLOODING,
        _ => Close::TRY_LATER,
    }
}

/// Checks the request and answers its key.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Box<Response>> {
    let upgrades = lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket");
    if !upgrades {
        return Err(upgrade_required("this is a WebSocket: ask for an upgrade").into());
    }
    if headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let mut refusal = upgrade_required("the WebSocket version is 13");
        let version = HeaderValue::from_static("13");
        refusal
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_VERSION, version);
        return Err(refusal.into());
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .map(HeaderValue::as_bytes);
    let Some(key) = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16)) else {
        return Err(invalid("the WebSocket key must be 16 bytes of base64").into());
    };
    if !lists(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(invalid("offer the subprotocol darda.v1").into());
    }
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::try_from(STANDARD.encode(hash.finalize())).map_err(|_| {
        HttpError::new(Code::Internal, "no answer to the key")
            .into_response()
            .into()
    })
}

fn upgrade_required(message: &'static str) -> Response {
    let refusal = HttpError::new(Code::Invalid, message).with_status(StatusCode::UPGRADE_REQUIRED);
    let mut refusal = refusal.into_response();
    refusal
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    refusal
}

fn invalid(message: &'static str) -> Response {
    HttpError::new(Code::Invalid, message).into_response()
}

/// Whether a header that is a list holds a word.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value
                .split(',')
                .any(|item| item.trim().eq_ignore_ascii_case(word))
        })
}
