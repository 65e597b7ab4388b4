//! In-memory implementations of the four ports: what an embedded chat runs on by default, and the
//! fakes of the tests. They keep every sentence of the ports' contracts for as long as the process
//! lives.

mod broker;
mod cache;
mod clock;
mod live;
mod log;
mod registry;
mod shard;
mod store;
#[cfg(test)]
mod tests;

pub use broker::MemoryBroker;
#[cfg(feature = "faults")]
pub use cache::CacheSnapshot;
pub use cache::MemoryCache;
pub use clock::{Clock, SystemClock};
pub use registry::MemoryRegistry;
pub use store::MemoryStore;
