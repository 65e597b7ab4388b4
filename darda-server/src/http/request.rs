//! What every route reads from its request: who asks, the query, the body; what is answered where
//! there is no route; and which connections are kept.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use darda_core::Visit;
use darda_core::model::ConversationId;
use metrics::counter;
use serde::de::DeserializeOwned;

use crate::auth::AuthError;
use crate::error::{Code, Failure, HttpError};
use crate::router::AppState;
use crate::{limits, observe};

/// The user who asks.
#[derive(Debug)]
pub(crate) struct Asker(pub(crate) Visit);

impl FromRequestParts<AppState> for Asker {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, HttpError> {
        let user = state
            .authenticate(parts)
            .await
            .map_err(|error| match error {
                AuthError::Unauthenticated(message) => {
                    HttpError::new(Code::Unauthenticated, message)
                }
                AuthError::Unavailable(message) => HttpError::new(Code::Unavailable, message),
            })?;
        if state.options().http_rate_limit
            && let Err(wait) = state.rates().count(&user)
        {
            counter!(observe::HTTP_LIMITED).increment(1);
            return Err(too_many(wait));
        }
        Ok(Self(state.chat().visit(user)?))
    }
}

fn too_many(wait: Duration) -> HttpError {
    let mut failure = Failure::new(Code::RateLimited, "too many requests");
    failure.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
    failure.into()
}

/// The conversation that the path names.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) ConversationId);

impl FromRequestParts<AppState> for Named {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, HttpError> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| HttpError::new(Code::Invalid, error.body_text()))?;
        Ok(Self(crate::wire::conversation(&name)?))
    }
}

/// The query, with unknown parameters ignored.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Asked<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, HttpError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let message = source.unwrap_or_else(|| error.body_text());
                Err(HttpError::new(Code::Invalid, format!("query: {message}")))
            }
        }
    }
}

/// A JSON body, whatever its content type says.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequest<AppState> for Body<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, HttpError> {
        let read = Bytes::from_request(request, state);
        let bytes = match tokio::time::timeout(limits::BODY_TIMEOUT, read).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let limit = limits::MAX_BODY_BYTES;
                return Err(HttpError::new(
                    Code::TooLarge,
                    format!("body: over {limit} bytes"),
                ));
            }
            Ok(Err(_)) => return Err(HttpError::new(Code::Malformed, "body: cannot be read")),
            Err(_) => {
                let error = HttpError::new(Code::Malformed, "body: did not come in time");
                return Err(error.with_status(StatusCode::REQUEST_TIMEOUT));
            }
        };
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let code = if error.is_data() {
                Code::Invalid
            } else {
                Code::Malformed
            };
            HttpError::new(code, format!("body: {}", crate::wire::sentence(&error)))
        })
    }
}

pub(crate) async fn no_such_route() -> HttpError {
    HttpError::new(Code::NotFound, "there is no such route")
}

pub(crate) async fn no_such_method() -> HttpError {
    let error = HttpError::new(Code::Invalid, "this route has no such method");
    error.with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// While the node drains, a connection ends with its answer: the next request comes on a new one, and
/// so to another node.
pub(crate) async fn let_go(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    // Later versions know no such header.
    let has_header = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if has_header
        && state.chat().is_draining()
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
