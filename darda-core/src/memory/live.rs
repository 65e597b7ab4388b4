//! Live routing: one bounded queue per subscribed node.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::error::Result;
use crate::model::NodeId;
use crate::ports::{LiveEvent, Publication, Route};

#[derive(Debug)]
pub(super) struct Live {
    nodes: RwLock<BTreeMap<NodeId, Arc<Queue>>>,
    dropped: AtomicU64,
    pub(super) limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    events: VecDeque<LiveEvent>,
    end: Option<End>,
}

/// How a subscription ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Another one took its place.
    Replaced,
    /// The broker went away.
    #[cfg(feature = "faults")]
    Cut,
    /// It has said so.
    #[cfg(feature = "faults")]
    Over,
}

/// Ends the subscription when the stream is dropped.
struct Subscription {
    live: Arc<Live>,
    node: NodeId,
    queue: Arc<Queue>,
}

impl Live {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            nodes: RwLock::default(),
            dropped: AtomicU64::new(0),
            limit,
        }
    }

    /// Events that were dropped because a queue was full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn publish(&self, publications: Vec<Publication>) {
        let nodes = self.nodes.read();
        for Publication { route, event } in publications {
            match route {
                Route::Nodes(to) => {
                    for queue in to.iter().filter_map(|node| nodes.get(node)) {
                        self.push(queue, event.clone());
                    }
                }
                Route::AllBut(sender) => {
                    for (_, queue) in nodes.iter().filter(|(node, _)| **node != sender) {
                        self.push(queue, event.clone());
                    }
                }
            }
        }
    }

    fn push(&self, queue: &Queue, event: LiveEvent) {
        let mut state = queue.state.lock();
        let was_empty = state.events.is_empty();
        if state.events.len() >= self.limit {
            state.events.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        state.events.push_back(event);
        drop(state);
        if was_empty {
            queue.wake.notify_one();
        }
    }

    pub(super) fn subscribe(
        self: &Arc<Self>,
        node: NodeId,
    ) -> BoxStream<'static, Result<Vec<LiveEvent>>> {
        let queue = Arc::new(Queue::default());
        if let Some(before) = self.nodes.write().insert(node.clone(), queue.clone()) {
            before.end(End::Replaced);
        }
        let subscription = Subscription {
            live: self.clone(),
            node,
            queue,
        };
        stream::unfold(subscription, |subscription| async move {
            subscription
                .queue
                .next()
                .await
                .map(|batch| (batch, subscription))
        })
        .boxed()
    }

    /// Ends every subscription with an error.
    #[cfg(feature = "faults")]
    pub(super) fn cut(&self) {
        for queue in std::mem::take(&mut *self.nodes.write()).into_values() {
            queue.end(End::Cut);
        }
    }
}

impl Queue {
    fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end = Some(end);
        state.events.clear();
        drop(state);
        self.wake.notify_one();
    }

    async fn next(&self) -> Option<Result<Vec<LiveEvent>>> {
        loop {
            {
                let mut state = self.state.lock();
                match state.end {
                    Some(End::Replaced) => return None,
                    #[cfg(feature = "faults")]
                    Some(End::Over) => return None,
                    #[cfg(feature = "faults")]
                    Some(End::Cut) => {
                        state.end = Some(End::Over);
                        return Some(Err(crate::Error::unavailable(
                            "the subscription was cut off",
                        )));
                    }
                    None if !state.events.is_empty() => {
                        return Some(Ok(std::mem::take(&mut state.events).into()));
                    }
                    None => {}
                }
            }
            // A wake between the look and this line is kept for it.
            self.wake.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut nodes = self.live.nodes.write();
        if nodes
            .get(&self.node)
            .is_some_and(|queue| Arc::ptr_eq(queue, &self.queue))
        {
            nodes.remove(&self.node);
        }
    }
}
