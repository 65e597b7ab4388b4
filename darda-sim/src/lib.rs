//! Proof of the engine's promises: what clients ask, are answered and are shown is written down as a
//! [`history`] and judged by the [checkers](check), while a seeded simulation breaks the parts.
//!
//! [`history`], [`recorder`], [`view`] and the checkers know nothing of the simulation: a test against
//! real servers, such as `darda-proof`, writes the same history.
//!
//! [`scale`] breaks nothing and judges nothing: it counts what a thousand nodes ask of the ports.

mod acts;
mod catch_up;
pub mod check;
mod clock;
mod device;
mod draw;
mod heed;
pub mod history;
mod panics;
pub mod plan;
pub mod recorder;
pub mod run;
pub mod scale;
mod sending;
pub mod shrink;
pub mod tally;
pub mod view;
mod world;
