//! Ports that hold out while their parts do not: each wraps a port and is itself that port, with a
//! time limit, retries and a circuit breaker around every call.
//!
//! ```
//! use darda_core::resilience::Resilience;
//! use darda_core::{Chat, Options, Ports};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let ports = Ports::in_memory().resilient(&Resilience::default());
//! let chat = Chat::start(ports, Options::default());
//! assert!(chat.health().await.iter().all(|port| !port.is_degraded()));
//! # }
//! ```
//!
//! # What becomes of a call
//! A call of the store waits until less than [`store_calls`](Resilience::store_calls) are under way.
//! 1. An open **breaker** refuses it at once: [`Unavailable`](crate::ErrorKind::Unavailable), with
//!    what is left of the open time as `retry_after`.
//! 2. It gets [`timeout`](Resilience::timeout). What has not answered by then is dropped and has
//!    failed.
//! 3. If it failed as `Unavailable` it is made **again** after a jittered wait, as long as there are
//!    attempts, time and budget left. Any other error is an answer, `Busy` and `Conflict` too:
//!    it goes to the caller, who knows better, and shows that the part is there. An `Unavailable`
//!    of an adapter that [did not ask](crate::Error::was_asked) its part goes to the caller as well, and
//!    shows nothing.
//!
//! Every call that changes something can be repeated: the ports' contracts say so. Three kinds of
//! calls are nevertheless made once, since an answer that is lost is worth more than the next one:
//! - `consume` and `subscribe`: whoever asked asks again, and two streams at a time help nobody. The
//!   opening is bounded and counted; what comes through the stream is untouched;
//! - `claim_overdue`: what a lost answer claimed comes again later, by itself;
//! - `renew`: the registry says only once that it forgot a node's sessions.
//!
//! # How it fits the engine's own limit
//! A request waits for [`Options::request_timeout`](crate::Options::request_timeout), 5 s, for all
//! the calls that it makes. A part that hangs costs a call 2 s by default and is not asked again for
//! it, so that within the request there is time to ask another part instead: the store for what the
//! cache would know. After three such calls the breaker is open, and the part costs nothing.

mod breaker;
mod broker;
mod budget;
mod cache;
mod policy;
mod registry;
mod settings;
mod store;
#[cfg(test)]
mod tests;

pub use breaker::{Breaker, BreakerState, Breakers};
pub use broker::ResilientBroker;
pub use cache::ResilientCache;
pub use registry::ResilientRegistry;
pub use settings::Resilience;
pub use store::ResilientStore;
