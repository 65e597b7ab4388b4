//! Proof of the engine's promises: what clients ask, are answered and are shown is written down as a
//! [`history`] and judged by the [checkers](check), while a seeded simulation breaks the parts.
//!
//! [`history`], [`recorder`], [`view`] and the checkers know nothing of the simulation: a test against
//! real servers, such as `darda-proof`, writes the same history.

mod acts;
mod catch_up;
pub mod check;
mod device;
mod draw;
mod heed;
pub mod history;
mod panics;
pub mod plan;
pub mod recorder;
pub mod run;
mod sending;
pub mod shrink;
pub mod tally;
pub mod view;
mod world;
