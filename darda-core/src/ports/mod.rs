//! The four ports. Each is a small trait with a written contract; every sentence of a contract has a
//! case in the module `conformance` (feature `conformance`), which an implementation runs.
//!
//! All ports share this: methods may be called concurrently; a transient error
//! ([`Error::is_transient`](crate::Error::is_transient)) says that the call may or may not have taken
//! effect; every call that changes something can be repeated.

mod broker;
mod cache;
mod event;
mod registry;
mod store;

pub use broker::{Broker, Delivery, DeliveryTag, Publication, Route, Verdict};
pub use cache::{Admission, Append, Appended, Cache, Recent, Settled};
pub use event::{Audience, Event, EventBody, LiveEvent, LostRange, ReceiptChange};
pub use registry::{Lease, Presence, SessionRegistry};
pub use store::{Commit, Head, Inserted, MarkUpdate, Membership, Range, Relocated, Store};
