//! The queue between the engine and one session's receiver: bounded, and the only thing that a slow
//! receiver fills.

use std::collections::BTreeSet;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::wakes;
use crate::model::{ConversationId, Position};
use crate::ports::{Event, EventBody, LostRange};

/// Conversations that a gap names; beyond, it says 'all'.
const MAX_NAMED: usize = 100;

#[derive(Debug)]
pub(crate) struct EventQueue {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A few need no memory of their own.
    events: SmallVec<[Event; 2]>,
    lost: Option<Lost>,
    waker: Option<Waker>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lost {
    conversations: BTreeSet<ConversationId>,
    all: bool,
}

impl Lost {
    /// Notes what a dropped event leaves its receiver without. Marks and typing are not caught up.
    fn note(&mut self, event: &Event) {
        match event.body() {
            EventBody::Entry(entry) => self.add(entry.conversation),
            EventBody::Withdrawn { conversation, .. } => self.add(*conversation),
            EventBody::Gap {
                lost: LostRange::Conversations(conversations),
            } => {
                conversations
                    .iter()
                    .for_each(|conversation| self.add(*conversation));
            }
            EventBody::Joined { .. } | EventBody::Left { .. } | EventBody::Gap { .. } => {
                self.all = true;
            }
            EventBody::Receipts { .. }
            | EventBody::Typing { .. }
            | EventBody::Heads { .. }
            | EventBody::Draining { .. } => {}
        }
    }

    fn add(&mut self, conversation: ConversationId) {
        self.conversations.insert(conversation);
        self.all |= self.conversations.len() > MAX_NAMED;
    }

    fn into_event(self) -> Option<Event> {
        let lost = if self.all {
            LostRange::All
        } else if self.conversations.is_empty() {
            return None;
        } else {
            LostRange::Conversations(self.conversations.into_iter().collect())
        };
        Some(EventBody::Gap { lost }.into())
    }
}

impl EventQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            state: Mutex::default(),
        }
    }

    /// Adds an event and wakes the receiver. Returns how many were dropped for it: none, or the whole
    /// backlog.
    pub(crate) fn push(&self, event: Event) -> usize {
        self.add(event, true)
    }

    /// The same for a receiver that is woken later.
    pub(crate) fn push_quietly(&self, event: Event) -> usize {
        self.add(event, false)
    }

    fn add(&self, event: Event, wakes: bool) -> usize {
        let (dropped, waker) = {
            let mut state = self.state.lock();
            if state.closed {
                return 0;
            }
            let mut dropped = 0;
            if state.events.len() >= self.capacity {
                let backlog = std::mem::take(&mut state.events);
                dropped = backlog.len();
                let mut lost = state.lost.take().unwrap_or_default();
                for event in backlog {
                    lost.note(&event);
                    if matches!(event.body(), EventBody::Draining { .. }) {
                        state.events.push(event);
                    }
                }
                state.lost = Some(lost);
            }
            state.events.push(event);
            (dropped, if wakes { state.waker.take() } else { None })
        };
        if let Some(waker) = waker {
            wakes::wake(waker);
        }
        dropped
    }

    /// Wakes the receiver if there is something for it.
    pub(crate) fn wake(&self) {
        let waker = {
            let mut state = self.state.lock();
            if state.events.is_empty() && state.lost.is_none() {
                None
            } else {
                state.waker.take()
            }
        };
        if let Some(waker) = waker {
            wakes::wake(waker);
        }
    }

    /// Moves all that waits to `into`: `Ready(true)`. `Ready(false)` when closed and empty.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>, into: &mut Vec<Event>) -> Poll<bool> {
        let mut state = self.state.lock();
        if let Some(gap) = state.lost.take().and_then(Lost::into_event) {
            into.push(gap);
        }
        // A new one: what has grown would stay with the session while it is idle.
        into.extend(std::mem::take(&mut state.events));
        if !into.is_empty() {
            Poll::Ready(true)
        } else if state.closed {
            Poll::Ready(false)
        } else {
            if !state
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                state.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        }
    }

    /// Drops waiting entries of a conversation that the receiver got by attaching.
    pub(crate) fn drop_attached(&self, conversation: ConversationId, up_to: Position) {
        self.state.lock().events.retain(|event| match event.body() {
            EventBody::Entry(entry) => entry.conversation != conversation || entry.position > up_to,
            _ => true,
        });
    }

    /// Ends the stream after what waits.
    pub(crate) fn close(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.closed = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;
    use crate::samples;

    fn joined(byte: u8) -> Event {
        EventBody::Joined {
            conversation: ConversationId::from_bytes([byte; 16]),
        }
        .into()
    }

    fn withdrawn(byte: u8) -> Event {
        EventBody::Withdrawn {
            conversation: ConversationId::from_bytes([byte; 16]),
            id: crate::model::EntryId::from_bytes([0; 16]),
            position: Position(1),
            stands: None,
        }
        .into()
    }

    fn entry(position: u64) -> Event {
        let conversation = ConversationId::from_bytes([1; 16]);
        let entry = samples::entry(conversation, position, "hello".into());
        EventBody::Entry(Arc::new(entry)).into()
    }

    async fn drain(queue: &EventQueue) -> Vec<Event> {
        let mut events = Vec::new();
        assert!(poll_fn(|cx| queue.poll_drain(cx, &mut events)).await);
        events
    }

    #[tokio::test]
    async fn an_overflow_drops_the_backlog_and_says_what_was_lost() {
        let queue = EventQueue::new(2);
        assert_eq!(queue.push(withdrawn(1)), 0);
        assert_eq!(queue.push(withdrawn(2)), 0);
        assert_eq!(queue.push(withdrawn(3)), 2);
        let lost = LostRange::Conversations(vec![
            ConversationId::from_bytes([1; 16]),
            ConversationId::from_bytes([2; 16]),
        ]);
        assert_eq!(
            drain(&queue).await,
            [EventBody::Gap { lost }.into(), withdrawn(3)]
        );
    }

    #[tokio::test]
    async fn a_lost_change_of_the_list_means_that_all_is_lost() {
        let queue = EventQueue::new(1);
        queue.push(joined(1));
        queue.push(withdrawn(2));
        let gap = EventBody::Gap {
            lost: LostRange::All,
        };
        assert_eq!(drain(&queue).await, [gap.into(), withdrawn(2)]);
    }

    #[tokio::test]
    async fn memory_stays_flat_whatever_is_pushed() {
        let queue = EventQueue::new(16);
        for round in 0..10_000_u32 {
            queue.push(withdrawn(round.to_be_bytes()[3]));
        }
        assert!(drain(&queue).await.len() <= 17);
    }

    #[tokio::test]
    async fn a_closed_queue_ends_after_what_waits() {
        let queue = EventQueue::new(2);
        queue.push(joined(1));
        queue.close();
        assert_eq!(queue.push(joined(2)), 0);
        assert_eq!(drain(&queue).await, [joined(1)]);
        let mut none = Vec::new();
        assert!(!poll_fn(|cx| queue.poll_drain(cx, &mut none)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_alone_wakes_its_receiver() {
        let queue = Arc::new(EventQueue::new(1));
        let receiving = queue.clone();
        let receiver = tokio::spawn(async move { drain(&receiving).await });
        tokio::task::yield_now().await;
        queue.push_quietly(entry(1));
        queue.push_quietly(entry(2));
        queue.drop_attached(ConversationId::from_bytes([1; 16]), Position(2));
        queue.wake();
        let woken = tokio::time::timeout(std::time::Duration::from_secs(1), receiver);
        let lost = LostRange::Conversations(vec![ConversationId::from_bytes([1; 16])]);
        assert_eq!(
            woken.await.unwrap().unwrap(),
            [EventBody::Gap { lost }.into()]
        );
    }
}
