//! Darda's nodes on real servers.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::{BackEnds, Namespace};
use crate::Result;
use crate::client::{PATIENCE, Patience};
use crate::process::Server;

/// How often something is looked at that is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// Some gateways and one writer. It ends with this value, and so does all that it kept.
pub(crate) struct System {
    // The nodes end before what they keep is cleaned up.
    pub(crate) gateways: Vec<Server>,
    pub(crate) writer: Server,
    outbox: Outbox,
    namespace: Namespace,
}

impl System {
    pub(crate) fn start(back_ends: &BackEnds, gateways: usize) -> Result<Self> {
        Self::start_with(back_ends, gateways, &[])
    }

    /// As [`start`](Self::start), with more settings of every node.
    pub(crate) fn start_with(
        back_ends: &BackEnds,
        gateways: usize,
        more: &[(&str, String)],
    ) -> Result<Self> {
        let namespace = Namespace::new(back_ends);
        let node = |role: &str| -> Result<Server> {
            let server = Server::darda(
                [
                    ("DARDA_ROLE", role.to_owned()),
                    ("DARDA_NAMESPACE", namespace.name().to_owned()),
                    ("DARDA_BROKER", back_ends.amqp.clone()),
                    ("DARDA_CACHE", back_ends.redis.clone()),
                    ("DARDA_STORE", back_ends.mongo.clone()),
                ]
                .into_iter()
                .chain(more.iter().cloned()),
            )?;
            server.await_ready()?;
            Ok(server)
        };
        Ok(Self {
            writer: node("writer")?,
            gateways: (0..gateways)
                .map(|_| node("gateway"))
                .collect::<Result<_>>()?,
            outbox: Outbox::of(back_ends, namespace.name())?,
            namespace,
        })
    }

    pub(crate) fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Where the gateways listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways
            .iter()
            .map(|gateway| gateway.address)
            .collect()
    }

    /// CPU time that all nodes have used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.nodes().map(Server::cpu).sum()
    }

    /// Entries that have a position and are not known to be in the store: all that are acknowledged
    /// and not stored are among them.
    pub(crate) fn unwritten(&self) -> Result<u64> {
        self.outbox.len()
    }

    /// Waits until all that was acknowledged is in the store. Returns how long that took.
    pub(crate) fn await_written(&self) -> Result<Duration> {
        let start = Instant::now();
        let mut patience = Patience::new(Reverse(u64::MAX));
        loop {
            let left = self.unwritten()?;
            if left == 0 {
                return Ok(start.elapsed());
            }
            if patience.ends(Reverse(left)) {
                return Err(format!("{left} acknowledged entries are not stored: lost").into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until these gateways have put away all sessions.
    pub(crate) fn await_empty(gateways: &[Server]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for gateway in gateways {
            while gateway.metric("darda_sessions")? > 0.0 {
                if Instant::now() > deadline {
                    return Err("sessions that were cut off do not end".into());
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn nodes(&self) -> impl Iterator<Item = &Server> {
        self.gateways.iter().chain([&self.writer])
    }
}
