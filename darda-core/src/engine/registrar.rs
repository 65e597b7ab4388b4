//! Sessions in the registry: those of an earlier process of the node's name end first, whose lease this
//! one would keep alive. Ended ones are taken out in batches.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::node::{Backoff, Node};
use crate::error::Result;
use crate::model::{SessionId, UserId};
use crate::ports::Lease;

const MAX_BATCH: usize = 1000;

impl Node {
    pub(crate) async fn register(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        self.be_alone().await?;
        let registry = &self.ports.registry;
        registry.register(self.id.clone(), sessions).await
    }

    pub(crate) async fn renew_lease(&self) -> Result<Lease> {
        self.be_alone().await?;
        self.ports.registry.renew(self.id.clone()).await
    }

    async fn be_alone(&self) -> Result<()> {
        let end_earlier = || self.ports.registry.remove_node(self.id.clone());
        self.alone.get_or_try_init(end_earlier).await.map(drop)
    }
}

pub(crate) async fn run(node: Arc<Node>, mut inbox: mpsc::Receiver<(UserId, SessionId)>) {
    let mut batch = Vec::new();
    let mut backoff = Backoff::new();
    loop {
        tokio::select! {
            biased;
            // The whole node is taken out when it stops.
            () = node.stop.cancelled() => return,
            count = inbox.recv_many(&mut batch, MAX_BATCH) => if count == 0 { return },
        }
        while let Err(error) = node
            .bounded(node.ports.registry.unregister(batch.clone()))
            .await
        {
            tracing::debug!(%error, "ended sessions stay registered for now");
            if !node.pause(backoff.next()).await {
                return;
            }
        }
        backoff.reset();
        batch.clear();
    }
}
