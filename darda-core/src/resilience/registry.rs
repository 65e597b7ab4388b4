//! A session registry that holds out.
//!
//! Calls about one session take effect one after another: a call is repeated only while its caller
//! waits for it, and a repeat begins when the attempt before it is over.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::breaker::Breaker;
use super::policy::Policy;
use super::settings::Resilience;
use crate::error::Result;
use crate::model::{NodeId, SessionId, UserId};
use crate::ports::{Lease, Presence, SessionRegistry};

/// A [`SessionRegistry`] with [`Resilience`].
#[derive(Debug)]
pub struct ResilientRegistry {
    inner: Arc<dyn SessionRegistry>,
    policy: Policy,
}

impl ResilientRegistry {
    /// Wraps a registry.
    #[must_use]
    pub fn new(inner: Arc<dyn SessionRegistry>, settings: &Resilience) -> Self {
        let policy = Policy::new("registry", settings);
        Self { inner, policy }
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        self.policy.breaker().clone()
    }
}

#[async_trait]
impl SessionRegistry for ResilientRegistry {
    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn register(&self, node: NodeId, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        self.policy
            .repeat(|| self.inner.register(node.clone(), sessions.clone()))
            .await
    }

    async fn unregister(&self, sessions: Vec<(UserId, SessionId)>) -> Result<()> {
        self.policy
            .repeat(|| self.inner.unregister(sessions.clone()))
            .await
    }

    async fn renew(&self, node: NodeId) -> Result<Lease> {
        self.policy.once(self.inner.renew(node)).await
    }

    async fn remove_node(&self, node: NodeId) -> Result<()> {
        self.policy
            .repeat(|| self.inner.remove_node(node.clone()))
            .await
    }

    async fn nodes_of(&self, users: Vec<UserId>) -> Result<Vec<NodeId>> {
        self.policy
            .repeat(|| self.inner.nodes_of(users.clone()))
            .await
    }

    async fn presence(&self, users: Vec<UserId>) -> Result<Vec<Presence>> {
        self.policy
            .repeat(|| self.inner.presence(users.clone()))
            .await
    }
}
