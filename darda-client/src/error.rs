//! The one error of this crate: a kind to act on, a sentence, the cause.

use std::error::Error as Source;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::status::{self, close};
use crate::wire::Refusal;

/// Why something was not done. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    refusal: Option<Refusal>,
    close_code: Option<u16>,
    source: Option<Box<dyn Source + Send + Sync>>,
}

/// What to do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server said no; [`Error::code`] says why.
    Refused,
    /// There is no connection now, and the call is of no use later.
    Offline,
    /// The client was closed, or is refused by the server: nothing more goes out.
    Stopped,
    /// A limit of this client is reached: too much waits already.
    Full,
    /// The storage failed: what it was to keep is not kept.
    Storage,
    /// A connection could not be made.
    Connect,
    /// What the server said does not follow the protocol, or an address or a setting cannot be.
    Invalid,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            refusal: None,
            close_code: None,
            source: None,
        }))
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn Source + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            refusal: None,
            close_code: None,
            source: Some(source.into()),
        }))
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self(Arc::new(Inner {
            kind: ErrorKind::Refused,
            message: refusal.message.clone(),
            refusal: Some(refusal),
            close_code: None,
            source: None,
        }))
    }

    /// The server closed a connection before it said hello.
    pub(crate) fn closed(code: u16) -> Self {
        let message = status::reason(code).map_or_else(
            || format!("the server closed the connection with {code}"),
            ToOwned::to_owned,
        );
        let kind = match code {
            close::UNAUTHENTICATED => ErrorKind::Refused,
            _ => ErrorKind::Connect,
        };
        Self(Arc::new(Inner {
            kind,
            message,
            refusal: None,
            close_code: Some(code),
            source: None,
        }))
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "the client is closed")
    }

    /// A storage's own failure: for implementers of [`Storage`](crate::Storage).
    pub fn storage(
        message: impl Into<String>,
        source: impl Into<Box<dyn Source + Send + Sync>>,
    ) -> Self {
        Self::caused(ErrorKind::Storage, message, source)
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The server's code, if it is the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.refusal.as_ref().map(|refusal| refusal.code.as_str())
    }

    /// The close code of the connection that could not be made, if the server closed it.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        self.0.close_code
    }

    /// How long the server asks to wait before the same is tried again; `None`: it will not succeed,
    /// or it is not the server that refused.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let refusal = self.0.refusal.as_ref()?;
        refusal.retry_after_ms.map(Duration::from_millis)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl Source for Error {
    fn source(&self) -> Option<&(dyn Source + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}
