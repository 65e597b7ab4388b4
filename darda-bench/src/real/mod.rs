//! Real servers: which they are, and Darda's nodes on them.

mod back_ends;
mod bare;
mod connect;
mod hop;
mod namespace;
mod outbox;
mod probe;
mod store;
mod system;
mod tap;

pub(crate) use self::back_ends::BackEnds;
pub(crate) use self::bare::{Draining, Load, sends};
pub(crate) use self::connect::runtime;
pub(crate) use self::hop::hops;
pub(crate) use self::namespace::Namespace;
pub(crate) use self::probe::Probe;
pub(crate) use self::store::store;
pub(crate) use self::system::System;
pub(crate) use self::tap::Tap;
