//! Where clients can connect, as a load balancer would say.

use std::net::SocketAddr;

use fastrand::Rng;
use parking_lot::Mutex;

/// The gateways that stand open.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<Vec<SocketAddr>>);

impl Doors {
    pub(crate) fn open(&self, door: SocketAddr) {
        self.0.lock().push(door);
    }

    pub(crate) fn close(&self, door: SocketAddr) {
        self.0.lock().retain(|other| *other != door);
    }

    /// From now on these and no others.
    pub(crate) fn only(&self, door: SocketAddr) {
        *self.0.lock() = vec![door];
    }

    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<SocketAddr> {
        let doors = self.0.lock();
        doors.get(rng.usize(..doors.len().max(1))).copied()
    }
}
