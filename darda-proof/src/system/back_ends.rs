//! The real servers below the nodes, with a proxy between each node and each of them.

use std::collections::BTreeMap;

use darda_backends::{
    Mongo, MongoOptions, Passage, Proxy, Rabbit, RabbitCluster, RabbitOptions, Redis, RedisOptions,
    Sentinel,
};

use crate::Result;

/// How the servers are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of each.
    Single,
    /// Redis is a master, a replica and a Sentinel.
    Sentinel,
    /// RabbitMQ is three nodes.
    Cluster,
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Broker,
    Cache,
    Store,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Broker, Self::Cache, Self::Store];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "RabbitMQ",
            Self::Cache => "Redis",
            Self::Store => "the store",
        }
    }
}

/// The real servers.
#[derive(Debug)]
pub(crate) struct BackEnds {
    pub(crate) rabbit: Option<Rabbit>,
    pub(crate) cluster: Option<RabbitCluster>,
    pub(crate) redis: Option<Redis>,
    pub(crate) sentinel: Option<Sentinel>,
    pub(crate) mongo: Mongo,
    proxies: BTreeMap<(String, Part), Proxy>,
}

impl BackEnds {
    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        let mongo = Mongo::start(MongoOptions::default()).await?;
        let mut back = Self {
            rabbit: None,
            cluster: None,
            redis: None,
            sentinel: None,
            mongo,
            proxies: BTreeMap::new(),
        };
        if kind == Kind::Cluster {
            back.cluster = Some(RabbitCluster::start().await?);
        } else {
            back.rabbit = Some(Rabbit::start(RabbitOptions::default()).await?);
        }
        if kind == Kind::Sentinel {
            back.sentinel = Some(Sentinel::start().await?);
        } else {
            back.redis = Some(Redis::start(RedisOptions::default()).await?);
        }
        Ok(back)
    }

    /// The settings of a node, by way of its own proxies where there is one server.
    pub(crate) async fn settings(&mut self, node: &str) -> Result<Vec<(&'static str, String)>> {
        let broker = match (&self.rabbit, &mut self.cluster) {
            (Some(rabbit), _) => {
                let (port, url) = (rabbit.port(), rabbit.url());
                self.by_way_of(node, Part::Broker, port, &url).await?
            }
            (None, Some(cluster)) => {
                // Nodes are spread over the cluster; each knows one of them.
                let nodes = cluster.nodes();
                let at = node.bytes().map(usize::from).sum::<usize>() % nodes.len();
                nodes[at].url()
            }
            (None, None) => return Err("no RabbitMQ".into()),
        };
        let cache = match (&self.redis, &self.sentinel) {
            (Some(redis), _) => {
                let (port, url) = (redis.port(), redis.url());
                self.by_way_of(node, Part::Cache, port, &url).await?
            }
            (None, Some(sentinel)) => format!("redis+sentinel://{}", sentinel.address()),
            (None, None) => return Err("no Redis".into()),
        };
        let (port, url) = (self.mongo.port(), self.mongo.url());
        let store = self.by_way_of(node, Part::Store, port, &url).await?;
        Ok(vec![
            ("DARDA_BROKER", broker),
            ("DARDA_CACHE", cache),
            ("DARDA_STORE", store),
        ])
    }

    async fn by_way_of(&mut self, node: &str, part: Part, port: u16, url: &str) -> Result<String> {
        let key = (node.to_owned(), part);
        if !self.proxies.contains_key(&key) {
            self.proxies.insert(key.clone(), Proxy::start(port).await?);
        }
        Ok(self.proxies[&key].instead_of(port, url))
    }

    /// What passes between a node and a server from now on.
    pub(crate) fn pass(&self, node: &str, part: Part, passage: Passage) -> Result<()> {
        let proxy = self.proxies.get(&(node.to_owned(), part));
        proxy.ok_or("there is no proxy between them")?.set(passage);
        Ok(())
    }

    /// The database itself.
    pub(crate) fn store_url(&self) -> String {
        self.mongo.url()
    }

    pub(crate) fn rabbit(&mut self) -> Result<&mut Rabbit> {
        Ok(self.rabbit.as_mut().ok_or("there is no single RabbitMQ")?)
    }

    pub(crate) fn redis(&mut self) -> Result<&mut Redis> {
        Ok(self.redis.as_mut().ok_or("there is no single Redis")?)
    }
}
