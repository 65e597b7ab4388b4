//! Requests of a user without a connection, as HTTP makes them.

use std::sync::Arc;

use super::node::Node;
use super::queue::EventQueue;
use super::registered::{Pulses, SessionCore};
use super::surface::{ConversationSummary, Mark, Page};
use crate::error::Result;
use crate::model::{ConversationId, Marks, Members, Position, UserId};
use crate::ports::Range;

/// What a user may ask without being connected: what is not live. It is told nothing, shows nobody as
/// there, and need not move when the node drains.
///
/// Each call is as the one of the [`Session`](super::Session), and bounded and counted as there.
#[derive(Debug)]
pub struct Visit {
    node: Arc<Node>,
    core: SessionCore,
}

impl Visit {
    pub(crate) fn begin(node: Arc<Node>, user: UserId) -> Self {
        // Nobody comes to look at these.
        let pulses = Pulses {
            first: node.options.heads_every,
            every: node.options.heads_every,
        };
        let core = SessionCore::new(
            node.new_session_id(),
            user,
            EventQueue::new(1),
            node.session_limiter(),
            pulses,
        );
        Self { node, core }
    }

    /// As [`Session::history`](super::Session::history).
    ///
    /// # Errors
    /// The same.
    pub async fn history(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Page> {
        self.request(self.node.history(&self.core, conversation, range, limit))
            .await
    }

    /// As [`Session::conversations`](super::Session::conversations).
    ///
    /// # Errors
    /// The same.
    pub async fn conversations(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<ConversationSummary>> {
        self.request(self.node.conversations(&self.core, before, limit))
            .await
    }

    /// As [`Session::members`](super::Session::members).
    ///
    /// # Errors
    /// The same.
    pub async fn members(&self, conversation: ConversationId) -> Result<Arc<Members>> {
        self.request(self.node.members_for(conversation, &self.core.user))
            .await
    }

    /// As [`Session::receipts`](super::Session::receipts).
    ///
    /// # Errors
    /// The same.
    pub async fn receipts(&self, conversation: ConversationId) -> Result<Vec<(UserId, Marks)>> {
        self.request(self.node.marks_of(conversation, &self.core.user))
            .await
    }

    /// As [`Session::mark`](super::Session::mark).
    ///
    /// # Errors
    /// The same.
    pub async fn mark(&self, conversation: ConversationId, mark: Mark) -> Result<()> {
        self.request(self.node.mark(&self.core, conversation, mark))
            .await
    }

    async fn request<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.node.admit(&self.core)?;
        self.node.bounded(work).await
    }
}
