//! Who a connection is.

use std::fmt::Debug;

use async_trait::async_trait;
use axum::http::request::Parts;
use darda_core::model::UserId;

/// Says who makes a request: a WebSocket's upgrade or any other request to `/v1`.
///
/// # Contract
/// To be correct,
/// - the same person has the same [`UserId`] for ever;
/// - nobody is let in under another's id, whatever the request holds;
/// - an answer comes within a few seconds: the request waits for it.
///
/// A browser cannot set headers on a WebSocket's upgrade: look into a cookie (the `Origin` was
/// checked before) or into the query.
#[async_trait]
pub trait Authenticator: Debug + Send + Sync + 'static {
    /// Who makes this request.
    async fn authenticate(&self, request: &Parts) -> Result<UserId, AuthError>;
}

/// Why nobody was let in. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Nobody is named, or somebody who is not let in: 401, or close code 4401.
    #[error("{0}")]
    Unauthenticated(String),
    /// It cannot be found out now: 503, or close code 1013.
    #[error("{0}")]
    Unavailable(String),
}

impl AuthError {
    /// Nobody is named, or somebody who is not let in.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::Unauthenticated(message.into())
    }

    /// It cannot be found out now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(message.into())
    }
}

/// For development: whoever says `?id=alice` is alice. Anybody can be anybody.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct DevAuthenticator;

impl DevAuthenticator {
    /// Says loudly what it is.
    #[must_use]
    pub fn new() -> Self {
        tracing::warn!(
            "DEVELOPMENT AUTHENTICATION: anybody who can reach this server is whoever they say \
             they are"
        );
        Self
    }
}

#[async_trait]
impl Authenticator for DevAuthenticator {
    async fn authenticate(&self, request: &Parts) -> Result<UserId, AuthError> {
        let query = request.uri.query().unwrap_or_default();
        let mut ids = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "id");
        let Some((_, id)) = ids.next() else {
            return Err(AuthError::unauthenticated("say who you are: ?id=alice"));
        };
        UserId::new(&id).map_err(|reason| AuthError::unauthenticated(format!("id: {reason}")))
    }
}
