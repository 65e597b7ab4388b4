//! What clients are told when something fails: the wire's own small set of codes, and the one place
//! where the engine's errors become codes, HTTP statuses and hints to retry.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darda_core::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

/// When to retry if the engine does not say.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A stable code: what a client acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// A field is missing, of the wrong type, or has a value that cannot be.
    Invalid,
    /// A part of the request is over its limit.
    TooLarge,
    /// There is no such thing, or the asker may not know of it.
    NotFound,
    /// The asker may not do this.
    Forbidden,
    /// One of the two users has blocked the other.
    Blocked,
    /// A bound on what may exist is reached.
    LimitReached,
    /// Too many requests.
    RateLimited,
    /// A queue on the way is full.
    Busy,
    /// A part on the way does not answer.
    Unavailable,
    /// Another change came between.
    Conflict,
    /// The session or the node is closed.
    Closed,
    /// A defect on the server's side.
    Internal,
    /// The frame's `cmd` is not a command.
    UnknownCommand,
    /// The frame is not a command at all.
    Malformed,
    /// Nobody is named, or somebody who is not let in. HTTP only; a socket is closed with 4401.
    Unauthenticated,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 15] = [
        Self::Invalid,
        Self::TooLarge,
        Self::NotFound,
        Self::Forbidden,
        Self::Blocked,
        Self::LimitReached,
        Self::RateLimited,
        Self::Busy,
        Self::Unavailable,
        Self::Conflict,
        Self::Closed,
        Self::Internal,
        Self::UnknownCommand,
        Self::Malformed,
        Self::Unauthenticated,
    ];

    /// The code of an engine's error.
    #[must_use]
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::TooLarge => Self::TooLarge,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Forbidden => Self::Forbidden,
            ErrorKind::Blocked => Self::Blocked,
            ErrorKind::LimitReached => Self::LimitReached,
            ErrorKind::RateLimited => Self::RateLimited,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Closed => Self::Closed,
            _ => Self::Internal,
        }
    }

    /// Whether the same request can succeed later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Busy | Self::Unavailable | Self::Conflict | Self::Closed
        )
    }

    /// The status of an HTTP answer with this code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound | Self::UnknownCommand => StatusCode::NOT_FOUND,
            Self::Forbidden | Self::Blocked => StatusCode::FORBIDDEN,
            Self::LimitReached | Self::Conflict => StatusCode::CONFLICT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::Unavailable | Self::Closed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }
}

/// An error as a client sees it. Causes are logged where it is made, never sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// What to act on.
    pub code: Code,
    /// A sentence for people.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
    /// When a retry may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure with this code; those that pass say when to retry.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = code.is_transient().then_some(DEFAULT_RETRY_AFTER);
        Self {
            code,
            message: message.into(),
            retry_after_ms: retry_after.map(whole_ms),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = Code::of(error.kind());
        if code == Code::Internal {
            tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "defect");
        } else if matches!(code, Code::Unavailable | Code::Busy) {
            tracing::debug!(error = %error, cause = ?std::error::Error::source(&error), "refused");
        }
        let mut failure = Self::new(code, error.to_string());
        if let Some(after) = error.retry_after() {
            failure.retry_after_ms = Some(whole_ms(after));
        }
        failure
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        error.clone().into()
    }
}

fn whole_ms(after: Duration) -> u64 {
    u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// An HTTP answer that says what failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HttpError {
    /// What failed.
    pub(crate) error: Failure,
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
}

impl HttpError {
    /// The code decides the status.
    #[must_use]
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(code, message).into()
    }

    /// Another status than the code's own.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<Failure> for HttpError {
    fn from(error: Failure) -> Self {
        Self {
            status: error.code.status(),
            error,
        }
    }
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let retry_after = self.error.retry_after_ms.map(|ms| ms.div_ceil(1000));
        let mut response = (self.status, axum::Json(self)).into_response();
        if let Some(seconds) = retry_after
            && let Ok(value) = HeaderValue::try_from(seconds.to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
