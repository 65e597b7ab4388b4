//! The one error of the core: a kind to act on, a sentence for people, and the cause.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed in itself. Final.
    Invalid,
    /// A part of the request is over its limit. Final.
    TooLarge,
    /// What the request names does not exist, or is hidden from the asker. Final.
    NotFound,
    /// The asker may not do this. Final.
    Forbidden,
    /// One of the two users has blocked the other. Final.
    Blocked,
    /// A bound on what may exist is reached. Final until something is removed.
    LimitReached,
    /// Too many requests; see [`Error::retry_after`]. Transient.
    RateLimited,
    /// A queue on the way is full; see [`Error::retry_after`]. Transient.
    Busy,
    /// A part on the way does not answer, or did not confirm in time. Transient: the request may
    /// have been carried out, and repeating it with the same client id is safe.
    Unavailable,
    /// Another change came between. Transient.
    Conflict,
    /// The session or the node is closed. Transient: connect again.
    Closed,
    /// A defect on our side. Final.
    Internal,
}

/// An error of the engine or of a port.
///
/// `Display` prints the sentence only; the cause is in [`source`](std::error::Error::source).
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Arc<str>,
    retry_after: Option<Duration>,
    asked: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a fallible operation of the core returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with a sentence for people: lowercase, no full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            asked: true,
            source: None,
        }
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says that an adapter refused the call by itself: whether its part would have answered, nobody
    /// knows by this.
    #[must_use]
    pub fn without_asking(mut self) -> Self {
        self.asked = false;
        self
    }

    /// What to act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same request can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::RateLimited
                | ErrorKind::Busy
                | ErrorKind::Unavailable
                | ErrorKind::Conflict
                | ErrorKind::Closed
        )
    }

    /// How long to wait before the request is repeated, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the part that the error speaks of was asked.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.asked
    }

    pub(crate) fn not_found() -> Self {
        Self::new(ErrorKind::NotFound, "no such conversation")
    }

    pub(crate) fn unavailable(message: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, message).with_retry_after(Duration::from_secs(1))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
