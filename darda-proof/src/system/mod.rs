//! The system under test: back ends and nodes, each a process of its own.

mod back_ends;
mod doors;
mod http;
mod node;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use back_ends::{BackEnds, Kind, Part};
pub(crate) use doors::Doors;
pub(crate) use http::Http;
pub(crate) use node::Node;

use tokio::task::JoinHandle;

use crate::Result;

/// What a system consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One process with everything in memory.
    Memory,
    /// Two gateways and two writers on real servers.
    Real,
    /// The same, with Redis as a master, a replica and a Sentinel.
    RealSentinel,
    /// The same, with three RabbitMQ nodes.
    RealCluster,
}

/// A node's place in a system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Gateway(usize),
    Writer(usize),
}

/// A node that is on its way back to its place.
#[derive(Debug)]
pub(crate) struct Starting {
    place: Place,
    node: JoinHandle<Result<Node>>,
}

impl Starting {
    pub(crate) fn is_over(&self) -> bool {
        self.node.is_finished()
    }
}

/// A running system. Everything ends with it.
#[derive(Debug)]
pub(crate) struct System {
    // Before the back ends: they end first.
    pub(crate) gateways: Vec<Node>,
    pub(crate) writers: Vec<Node>,
    pub(crate) back: Option<BackEnds>,
    pub(crate) doors: Arc<Doors>,
    logs: PathBuf,
    namespace: String,
    server: PathBuf,
    started: usize,
}

impl System {
    /// Starts a system; what its nodes log goes to a folder.
    pub(crate) async fn start(layout: Layout, logs: &Path) -> Result<Self> {
        std::fs::create_dir_all(logs)?;
        let back = match layout {
            Layout::Memory => None,
            Layout::Real => Some(BackEnds::start(Kind::Single).await?),
            Layout::RealSentinel => Some(BackEnds::start(Kind::Sentinel).await?),
            Layout::RealCluster => Some(BackEnds::start(Kind::Cluster).await?),
        };
        let mut system = Self {
            gateways: Vec::new(),
            writers: Vec::new(),
            back,
            doors: Arc::default(),
            logs: logs.to_owned(),
            namespace: "proof".to_owned(),
            server: node::binary()?,
            started: 0,
        };
        if system.back.is_none() {
            let node = system.node("both", "both").await?;
            system.gateways.push(node);
        } else {
            for number in 1..=2 {
                let writer = system.node("writer", &format!("writer-{number}")).await?;
                system.writers.push(writer);
                let gateway = system.node("gateway", &format!("gateway-{number}")).await?;
                system.gateways.push(gateway);
            }
        }
        for gateway in &system.gateways {
            system.doors.open(gateway.address());
        }
        Ok(system)
    }

    /// A system that others run, behind these addresses.
    pub(crate) fn attached(gateways: &[SocketAddr]) -> Result<Self> {
        if gateways.is_empty() {
            return Err("say where it is: --gateway ADDRESS:PORT".into());
        }
        let system = Self {
            gateways: Vec::new(),
            writers: Vec::new(),
            back: None,
            doors: Arc::default(),
            logs: PathBuf::new(),
            namespace: String::new(),
            server: PathBuf::new(),
            started: 0,
        };
        gateways.iter().for_each(|door| system.doors.open(*door));
        Ok(system)
    }

    /// Where its gateways are.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        if self.gateways.is_empty() {
            return self.doors.all();
        }
        self.gateways.iter().map(Node::address).collect()
    }

    async fn node(&mut self, role: &str, name: &str) -> Result<Node> {
        self.spawn(role, name).await?.await?
    }

    /// Starts a node and does not wait for it. Its name is used once.
    async fn spawn(&mut self, role: &str, name: &str) -> Result<JoinHandle<Result<Node>>> {
        self.started += 1;
        let mut settings = vec![
            ("DARDA_ROLE", role.to_owned()),
            ("DARDA_NODE", format!("{name}.{}", self.started)),
        ];
        if let Some(back) = &mut self.back {
            settings.extend(back.settings(name).await?);
            settings.push(("DARDA_NAMESPACE", self.namespace.clone()));
        }
        let log = self.logs.join(format!("{name}.{}.log", self.started));
        let (server, name) = (self.server.clone(), name.to_owned());
        Ok(tokio::spawn(async move {
            Node::start(&server, &name, settings, &log).await
        }))
    }

    /// Starts a node again that was killed or stopped.
    pub(crate) async fn start_again(&mut self, place: Place) -> Result<()> {
        let starting = self.begin_start(place).await?;
        self.take_in(starting).await
    }

    /// The same, without waiting for it.
    pub(crate) async fn begin_start(&mut self, place: Place) -> Result<Starting> {
        let (role, name) = match place {
            Place::Gateway(at) => ("gateway", self.gateways[at].name().to_owned()),
            Place::Writer(at) => ("writer", self.writers[at].name().to_owned()),
        };
        let node = self.spawn(role, &name).await?;
        Ok(Starting { place, node })
    }

    /// Waits for a node that starts again, and opens a gateway's door.
    pub(crate) async fn take_in(&mut self, starting: Starting) -> Result<()> {
        let node = starting.node.await??;
        match starting.place {
            Place::Gateway(at) => {
                self.doors.open(node.address());
                self.gateways[at] = node;
            }
            Place::Writer(at) => self.writers[at] = node,
        }
        Ok(())
    }

    /// A gateway that nobody has talked to. In memory there is but one, and a system that others run
    /// gets none: `None`.
    pub(crate) async fn fresh_gateway(&mut self) -> Result<Option<Node>> {
        if self.back.is_none() {
            return Ok(None);
        }
        self.node("gateway", "gateway-fresh").await.map(Some)
    }

    /// A node that has nothing but the store: what it reads is stored. In memory there is but one, and
    /// of a system that others run it is any.
    pub(crate) async fn store_reader(&mut self) -> Result<StoreReader> {
        let Some(back) = &self.back else {
            return Ok(StoreReader {
                address: self.addresses()[0],
                _node: None,
            });
        };
        self.started += 1;
        let settings = vec![
            ("DARDA_ROLE", "gateway".to_owned()),
            ("DARDA_NODE", format!("reader.{}", self.started)),
            ("DARDA_NAMESPACE", self.namespace.clone()),
            ("DARDA_STORE", back.store_url()),
        ];
        let log = self.logs.join(format!("reader.{}.log", self.started));
        let node = Node::start(&self.server, "reader", settings, &log).await?;
        Ok(StoreReader {
            address: node.address(),
            _node: Some(node),
        })
    }

    /// The servers below the nodes.
    pub(crate) fn back(&mut self) -> Result<&mut BackEnds> {
        Ok(self
            .back
            .as_mut()
            .ok_or("this system has no servers below it")?)
    }

    /// Lines of the nodes' logs that tell of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.logs)
            .into_iter()
            .flatten()
            .flatten();
        let mut panics = Vec::new();
        for file in files {
            let text = std::fs::read(file.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines = text.lines().filter(|line| line.contains("panicked at"));
            let name = file.file_name().to_string_lossy().into_owned();
            panics.extend(lines.map(|line| format!("{name}: {line}")));
        }
        panics
    }

    /// Resident memory of each node, in MiB.
    pub(crate) fn memory(&self) -> Vec<(String, u64)> {
        let nodes = self.gateways.iter().chain(&self.writers);
        nodes
            .map(|node| (node.name().to_owned(), node.memory_mib()))
            .collect()
    }
}

/// Reads what is stored. Its node, if it has one of its own, ends with it.
#[derive(Debug)]
pub(crate) struct StoreReader {
    pub(crate) address: SocketAddr,
    _node: Option<Node>,
}
