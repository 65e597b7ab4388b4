//! A session registry that goes wrong.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::switchboard::{Faults, Port};
use crate::error::Result;
use crate::model::{NodeId, SessionId, UserId};
use crate::ports::{Lease, Presence, SessionRegistry};

/// A [`SessionRegistry`] with [`Faults`].
#[derive(Debug)]
pub struct FaultyRegistry {
    inner: Arc<dyn SessionRegistry>,
    faults: Faults,
}

impl FaultyRegistry {
    /// Wraps a registry.
    #[must_use]
    pub fn new(inner: Arc<dyn SessionRegistry>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    async fn around<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.faults.around(Port::Registry, call).await
    }
}

#[async_trait]
impl SessionRegistry for FaultyRegistry {
    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn register(&self, node: NodeId, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        let register = |sessions| self.inner.register(node, sessions);
        self.faults
            .around_batch(Port::Registry, sessions, register)
            .await
    }

    async fn unregister(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        let unregister = |sessions| self.inner.unregister(sessions);
        self.faults
            .around_batch(Port::Registry, sessions, unregister)
            .await
    }

    async fn renew(&self, node: NodeId) -> Result<Lease> {
        self.around(self.inner.renew(node)).await
    }

    async fn remove_node(&self, node: NodeId) -> Result<()> {
        self.around(self.inner.remove_node(node)).await
    }

    async fn nodes_of(&self, users: Vec<UserId>) -> Result<Vec<NodeId>> {
        self.around(self.inner.nodes_of(users)).await
    }

    async fn presence(&self, users: Vec<UserId>) -> Result<Vec<Presence>> {
        self.around(self.inner.presence(users)).await
    }
}
