//! A Redis Cluster of three masters.

use crate::redis::cli;
use crate::{Redis, RedisOptions, Result};

/// Three masters without replicas, which share the slots.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts the servers and joins them.
    ///
    /// # Errors
    /// `Missing` without installed servers, `Failed` if they do not come up.
    pub async fn start() -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Redis::start(RedisOptions::default().in_cluster()).await?);
        }
        let addresses: Vec<_> = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        let mut join = vec!["--cluster", "create", "--cluster-yes"];
        join.extend(addresses.iter().map(String::as_str));
        cli(nodes[0].folder(), nodes[0].port(), &join).await?;
        for node in &mut nodes {
            let (root, port) = (node.folder().root().to_owned(), node.port().to_string());
            let ask = ["redis-cli", "-p", &port, "cluster", "info"];
            node.server()
                .until_told(&root, &ask, "cluster_state:ok")
                .await?;
        }
        Ok(Self { nodes })
    }

    /// The addresses as `host:port,host:port,host:port`.
    #[must_use]
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        addresses.join(",")
    }

    /// Its servers.
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}
