//! Proof of the engine's promises: what clients ask, are answered and are shown is written down as a
//! [`history`] and judged by the [checkers](check), while a seeded simulation breaks the parts.
//!
//! History, view and checkers know nothing of the simulation.

pub mod check;
pub mod history;
pub mod view;
