//! An embeddable chat: the engine over four ports, with in-memory implementations.
pub mod conformance;
mod engine;
mod error;
pub mod memory;
pub mod model;
pub mod ports;

pub use error::{Error, ErrorKind, Result};
