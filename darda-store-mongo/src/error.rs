//! MongoDB's errors as those of the core, by their codes.
//!
//! Whoever writes entries gives up on one for ever if the error is final. So only what lies in the
//! request itself is final; what the server says of itself, also by a code that is not known here,
//! is `Unavailable`: the entry waits, and the cause is logged.

use std::time::Duration;

use darda_core::{Error, ErrorKind};
use mongodb::error::{ErrorKind as Kind, WriteFailure};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A unique key is taken.
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// There is no such collection.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// The request is at fault, and will be when it is repeated.
const FINAL: [i32; 17] = [
    2,     // BadValue
    9,     // FailedToParse
    14,    // TypeMismatch
    16,    // InvalidLength
    22,    // InvalidBSON
    52,    // DollarPrefixedFieldName
    53,    // InvalidIdField
    54,    // NotSingleValueField
    66,    // ImmutableField
    72,    // InvalidOptions
    121,   // DocumentValidationFailure
    323,   // APIStrictError
    10334, // BSONObjectTooLarge
    17280, // KeyTooLong
    17419, // the document would become too large
    17420, // the same, of another kind of update
    40353, // an unknown operator
];

/// An overloaded server that says so.
const BUSY: [i32; 2] = [
    462, // IngressRequestRateLimitExceeded
    50915,
];

pub(crate) fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_retry_after(RETRY_AFTER)
}

pub(crate) fn invalid(message: impl Into<std::sync::Arc<str>>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// A document that no version of this crate has written.
pub(crate) fn unreadable(what: &'static str) -> Error {
    Error::new(ErrorKind::Internal, what)
}

/// No answer came within the operation's time.
pub(crate) fn silent() -> Error {
    unavailable("mongodb did not answer in time")
}

/// What an error code says of a call.
pub(crate) fn of_code(code: i32) -> Error {
    if BUSY.contains(&code) {
        Error::new(ErrorKind::Busy, "mongodb is overloaded").with_retry_after(RETRY_AFTER)
    } else if FINAL.contains(&code) {
        Error::new(ErrorKind::Internal, "mongodb refused a request")
    } else {
        unavailable("mongodb could not carry out a request")
    }
}

/// An error of a call.
pub(crate) fn of_call(error: mongodb::error::Error) -> Error {
    let overloaded = error.contains_label(mongodb::error::SYSTEM_OVERLOADED_ERROR);
    let mapped = match error.kind.as_ref() {
        Kind::Command(_) if overloaded => {
            Error::new(ErrorKind::Busy, "mongodb is overloaded").with_retry_after(RETRY_AFTER)
        }
        Kind::Command(command) => of_code(command.code),
        Kind::Write(WriteFailure::WriteError(error)) => of_code(error.code),
        // Kept, and perhaps lost again by a change of the primary.
        Kind::Write(WriteFailure::WriteConcernError(_)) => unconfirmed(),
        Kind::InsertMany(insert) if insert.write_concern_error.is_some() => unconfirmed(),
        Kind::InsertMany(insert) => {
            let errors = insert.write_errors.iter().flatten();
            let codes = errors.map(|error| error.code);
            codes.map(of_code).next().unwrap_or_else(unconfirmed)
        }
        Kind::Bson(_)
        | Kind::BsonSerialization(_)
        | Kind::BsonDeserialization(_)
        | Kind::InvalidArgument { .. } => {
            Error::new(ErrorKind::Internal, "a document could not be understood")
        }
        Kind::Shutdown => Error::new(ErrorKind::Closed, "the store is closed"),
        _ => unavailable("mongodb cannot be reached"),
    };
    mapped.with_source(error)
}

/// An error of making a client.
pub(crate) fn of_connecting(error: mongodb::error::Error) -> Error {
    match error.kind.as_ref() {
        Kind::DnsResolve { .. } | Kind::Io(_) => unavailable("mongodb's servers are not found"),
        _ => invalid("mongodb cannot be connected to like this"),
    }
    .with_source(error)
}

/// The write concern was not met: the write may be lost by a change of the primary.
pub(crate) fn unconfirmed() -> Error {
    unavailable("mongodb did not confirm a write")
}

/// Whether a write failed, since a unique key is taken.
pub(crate) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        Kind::Command(error) => error.code == DUPLICATE_KEY,
        Kind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Whether there is no such collection.
pub(crate) fn is_no_collection(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), Kind::Command(error) if error.code == NAMESPACE_NOT_FOUND)
}

/// Whether an index cannot be made as it is declared: another one has its name or its keys
/// otherwise, or what is stored breaks it.
pub(crate) fn is_index_conflict(error: &mongodb::error::Error) -> bool {
    let code = match error.kind.as_ref() {
        Kind::Command(error) => error.code,
        Kind::Write(WriteFailure::WriteError(error)) => error.code,
        _ => return false,
    };
    // CannotCreateIndex, IndexOptionsConflict, IndexKeySpecsConflict.
    [67, 85, 86, DUPLICATE_KEY].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_transient_also_by_an_unknown_code() {
        // NotWritablePrimary, PrimarySteppedDown, MaxTimeMSExpired, out of disk space, unheard of.
        for code in [10107, 189, 50, 14031, 999_999] {
            assert_eq!(of_code(code).kind(), ErrorKind::Unavailable, "{code}");
        }
        assert_eq!(of_code(462).kind(), ErrorKind::Busy);
    }

    #[test]
    fn what_lies_in_the_request_is_final() {
        for code in [2, 121, 10334] {
            assert!(!of_code(code).is_transient(), "{code}");
        }
    }

    #[test]
    fn a_silent_network_is_transient() {
        let error = mongodb::error::Error::from(std::io::ErrorKind::TimedOut);
        let error = of_call(error);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some());
        assert!(std::error::Error::source(&error).is_some());
    }
}
