//! Ports that go wrong on demand, for tests: each wraps a port and is itself that port.
//!
//! A [`Faults`] is the switchboard of any number of wrappers. What it says can be changed while they
//! run; what happens is drawn from its seed, so that a run on one thread and paused time repeats.
//!
//! Loss of memory, promotion of an old copy and a broker's restart are not here: the
//! [memory](crate::memory) ports do these themselves.

mod broker;
mod cache;
mod draw;
mod registry;
mod store;
mod switchboard;
#[cfg(test)]
mod tests;

pub use broker::FaultyBroker;
pub use cache::FaultyCache;
pub use registry::FaultyRegistry;
pub use store::FaultyStore;
pub use switchboard::{Faults, Port, Trouble};
