//! The commands of a connection that are under way. Appends start one after another, in the order in
//! which they came; their acknowledgements, and everything else, run side by side.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use darda_core::{Ack, Acknowledged, Pending, Result, SendRequest, Session};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use pin_project_lite::pin_project;

use super::dispatch;
use crate::wire::{Command, Request};

/// Commands of one connection that are under way; at the limit nothing more is read from it.
pub(crate) const MAX_IN_FLIGHT: usize = 128;
/// Of these, commands that are not appends, whose replies may be large.
pub(crate) const MAX_QUERIES: usize = 16;

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An append.
    Acked(u64, Result<Ack>),
    /// Another command: the encoded reply, and whether the engine refused it by a rate limit.
    Replied { reply: Vec<u8>, limited: bool },
}

pin_project! {
    #[project = RunningProjection]
    enum Running {
        Acknowledged { id: u64, #[pin] ack: Acknowledged },
        Query { query: BoxFuture<'static, Outcome> },
    }
}

impl Future for Running {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.project() {
            RunningProjection::Acknowledged { id, ack } => {
                ack.poll(cx).map(|ack| Outcome::Acked(*id, ack))
            }
            RunningProjection::Query { query } => query.poll_unpin(cx),
        }
    }
}

#[derive(Default)]
pub(crate) struct Work {
    /// Appends that wait for the one before them.
    waiting: VecDeque<(u64, SendRequest)>,
    appending: Option<BoxFuture<'static, (u64, Result<Pending>)>>,
    running: FuturesUnordered<Running>,
    in_flight: usize,
    queries: usize,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("in_flight", &self.in_flight)
            .field("queries", &self.queries)
            .finish_non_exhaustive()
    }
}

impl Work {
    /// Whether one more command may come.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT && self.queries < MAX_QUERIES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight == 0
    }

    /// Takes a command on. It starts with the next poll.
    pub(crate) fn start(&mut self, session: &Arc<Session>, request: Request) {
        self.in_flight += 1;
        match request.command {
            Command::Append(send) if self.appending.is_none() && self.waiting.is_empty() => {
                self.append(session, request.id, send);
            }
            Command::Append(send) => self.waiting.push_back((request.id, send)),
            command => {
                self.queries += 1;
                let query = dispatch::run(session.clone(), request.id, command).boxed();
                self.running.push(Running::Query { query });
            }
        }
    }

    fn append(&mut self, session: &Arc<Session>, id: u64, send: SendRequest) {
        let session = session.clone();
        self.appending = Some(async move { (id, session.append(send).await) }.boxed());
    }

    /// The next command that ended.
    pub(crate) fn poll_next(
        &mut self,
        session: &Arc<Session>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome> {
        loop {
            if self.appending.is_none()
                && let Some((id, send)) = self.waiting.pop_front()
            {
                self.append(session, id, send);
            }
            let Some(appending) = &mut self.appending else {
                break;
            };
            let Poll::Ready((id, appended)) = appending.poll_unpin(cx) else {
                break;
            };
            self.appending = None;
            match appended {
                Ok(pending) => {
                    let ack = pending.ack();
                    self.running.push(Running::Acknowledged { id, ack });
                }
                Err(error) => {
                    self.in_flight -= 1;
                    return Poll::Ready(Outcome::Acked(id, Err(error)));
                }
            }
        }
        match self.running.poll_next_unpin(cx) {
            Poll::Ready(Some(outcome)) => {
                self.in_flight -= 1;
                if let Outcome::Replied { .. } = outcome {
                    self.queries -= 1;
                }
                Poll::Ready(outcome)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
