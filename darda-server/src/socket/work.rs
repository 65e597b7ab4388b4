//! The commands of a connection that are under way. Appends start one after another, in the order in
//! which they came; their acknowledgements, and everything else, run side by side. Nothing is
//! allocated while nothing is under way.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use darda_core::{Ack, Pending, Result, SendRequest, Session};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

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

#[derive(Default)]
pub(crate) struct Work {
    /// Appends that wait for the one before them.
    waiting: VecDeque<(u64, SendRequest)>,
    appending: Option<BoxFuture<'static, (u64, Result<Pending>)>>,
    running: FuturesUnordered<BoxFuture<'static, Outcome>>,
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
            Command::Append(send) => self.waiting.push_back((request.id, send)),
            command => {
                self.queries += 1;
                self.running
                    .push(dispatch::run(session.clone(), request.id, command).boxed());
            }
        }
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
                let session = session.clone();
                self.appending = Some(async move { (id, session.append(send).await) }.boxed());
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
                    let acked = async move { Outcome::Acked(id, pending.ack().await) };
                    self.running.push(acked.boxed());
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
