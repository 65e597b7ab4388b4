//! Redis' errors as those of the core, by their codes.

use std::time::Duration;

use darda_core::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an error says about the connection that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: the server answered.
    None,
    /// No answer came in time.
    Silent,
    /// It is of no use any longer, or it leads to a server that is no master.
    Broken,
}

pub(crate) fn fault(error: &RedisError) -> Fault {
    if error.is_timeout() {
        return Fault::Silent;
    }
    match error.kind() {
        redis::ErrorKind::Server(ServerErrorKind::ReadOnly)
        | redis::ErrorKind::Io
        | redis::ErrorKind::Parse
        | redis::ErrorKind::AuthenticationFailed
        | redis::ErrorKind::ClusterConnectionNotFound => Fault::Broken,
        _ if error.is_unrecoverable_error() => Fault::Broken,
        _ => Fault::None,
    }
}

/// An error of a call.
pub(crate) fn of_call(error: RedisError) -> Error {
    if error.code() == Some("OOM") {
        return Error::new(ErrorKind::Busy, "redis is out of memory")
            .with_retry_after(RETRY_AFTER)
            .with_source(error);
    }
    match error.kind() {
        // Defects: a script that fails, an answer that is not what it returns.
        redis::ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::CrossSlot)
        | redis::ErrorKind::UnexpectedReturnType
        | redis::ErrorKind::Client => {
            Error::new(ErrorKind::Internal, "redis did not take a call").with_source(error)
        }
        redis::ErrorKind::Extension if error.code() == Some("WRONGTYPE") => {
            Error::new(ErrorKind::Internal, "a key is used by something else").with_source(error)
        }
        _ => unavailable("redis does not answer").with_source(error),
    }
}

/// An error of an attempt to connect.
pub(crate) fn of_connecting(error: RedisError) -> Error {
    match error.kind() {
        redis::ErrorKind::InvalidClientConfig => invalid("redis cannot be connected to like this"),
        _ => unavailable("redis cannot be connected to"),
    }
    .with_source(error)
}

pub(crate) fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_retry_after(RETRY_AFTER)
}

pub(crate) fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

pub(crate) fn outbox_full() -> Error {
    Error::new(ErrorKind::Busy, "too many entries wait to be stored").with_retry_after(RETRY_AFTER)
}

/// An answer that no script of ours gives.
pub(crate) fn unexpected() -> Error {
    Error::new(ErrorKind::Internal, "redis gave an unexpected answer")
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind as Driver, make_extension_error};

    use super::*;

    fn server(kind: ServerErrorKind) -> RedisError {
        (Driver::Server(kind), "said so").into()
    }

    #[test]
    fn out_of_memory_is_busy() {
        let error = of_call(make_extension_error("OOM".into(), None));
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.retry_after().is_some());
    }

    #[test]
    fn servers_that_cannot_answer_now_are_unavailable() {
        for kind in [
            ServerErrorKind::ReadOnly,
            ServerErrorKind::BusyLoading,
            ServerErrorKind::MasterDown,
            ServerErrorKind::ClusterDown,
            ServerErrorKind::TryAgain,
            ServerErrorKind::NoPerm,
        ] {
            assert_eq!(of_call(server(kind)).kind(), ErrorKind::Unavailable);
        }
        for code in ["MISCONF", "NOREPLICAS", "NOAUTH", "BUSY", "UNBLOCKED"] {
            let error = of_call(make_extension_error(code.into(), None));
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{code}");
        }
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(of_call(closed.into()).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_script_that_fails_is_a_defect() {
        let error = of_call(server(ServerErrorKind::ResponseError));
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    #[test]
    fn only_some_errors_end_a_connection() {
        let timeout = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert_eq!(fault(&timeout.into()), Fault::Silent);
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(fault(&closed.into()), Fault::Broken);
        assert_eq!(fault(&server(ServerErrorKind::ReadOnly)), Fault::Broken);
        assert_eq!(fault(&server(ServerErrorKind::NoScript)), Fault::None);
        let full = make_extension_error("OOM".into(), None);
        assert_eq!(fault(&full), Fault::None);
    }
}
