//! What every route reads from its request: the user's session, the query, the body; and what is
//! answered where there is no route.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use darda_core::Session;
use darda_core::model::ConversationId;
use metrics::counter;
use serde::de::DeserializeOwned;

use crate::auth::AuthError;
use crate::error::{Code, Failure, HttpError};
use crate::router::AppState;
use crate::{limits, observe};

/// A session of the user who asks, for this one request. It registers and unregisters, as every
/// session does: two round trips to the registry, which is fine for what is not live.
#[derive(Debug)]
pub(crate) struct Asker(pub(crate) Session);

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
        Ok(Self(Box::pin(state.chat().connect(user)).await?))
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
