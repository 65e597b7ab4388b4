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

    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        self.0.lock().clone()
    }

    /// From now on this and no other.
    pub(crate) fn only(&self, door: SocketAddr) {
        *self.0.lock() = vec![door];
    }

    /// One of the open doors, if possible not the one at which nobody answered.
    pub(crate) fn pick(&self, rng: &mut Rng, dead: Option<SocketAddr>) -> Option<SocketAddr> {
        let doors = self.0.lock();
        let others: Vec<_> = doors.iter().filter(|door| Some(**door) != dead).collect();
        if others.is_empty() {
            return doors.first().copied();
        }
        Some(*others[rng.usize(..others.len())])
    }
}
