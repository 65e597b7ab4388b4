//! What the driver says becomes an error of the core.

use std::time::Duration;

use darda_core::{Error, ErrorKind};
use lapin::ErrorKind as Driver;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

/// When a refused publish is worth repeating.
pub(crate) const BUSY_FOR: Duration = Duration::from_secs(1);

/// Not there: the connection broke, or is not made yet.
pub(crate) fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_retry_after(BUSY_FOR)
}

/// There, and taking nothing more.
pub(crate) fn busy(message: &'static str) -> Error {
    Error::new(ErrorKind::Busy, message).with_retry_after(BUSY_FOR)
}

/// A driver's error: the broker does not answer, whatever the reason.
pub(crate) fn from_driver(error: lapin::Error) -> Error {
    unavailable("rabbitmq does not answer").with_source(error)
}

/// Whether the server refused a declaration because the name is taken by something else, or because
/// it does not know an argument.
pub(crate) fn is_refused_declaration(error: &lapin::Error) -> bool {
    match error.kind() {
        Driver::ProtocolError(error) => {
            *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
        }
        _ => false,
    }
}
