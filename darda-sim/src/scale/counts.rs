//! What was asked of the ports: how often, of how many things, and in which second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use darda_core::model::NodeId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A method of a port, or what it made of a call. One constant each, so that what is counted and what
/// is read cannot differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Op(&'static str);

impl Op {
    /// Batches of entries handed over; items: entries.
    pub const ENQUEUE: Self = Self("broker.enqueue");
    /// Verdicts of a writer; items: deliveries.
    pub const SETTLE_DELIVERIES: Self = Self("broker.settle");
    /// Questions how much waits.
    pub const BACKLOG: Self = Self("broker.backlog");
    /// Batches of live events; items: events.
    pub const PUBLISH: Self = Self("broker.publish");
    /// Messages to the broker: the events of a batch with one route share one.
    pub const LIVE_MESSAGES: Self = Self("live messages");
    /// Copies of these messages that the broker puts into nodes' queues.
    pub const LIVE_COPIES: Self = Self("live copies");
    /// Nodes that begin to receive.
    pub const SUBSCRIBE: Self = Self("broker.subscribe");
    /// Entries that get a position.
    pub const APPEND: Self = Self("cache.append");
    /// Changes of members made known.
    pub const RAISE_EPOCH: Self = Self("cache.raise_epoch");
    /// Questions for epochs; items: conversations.
    pub const EPOCHS: Self = Self("cache.epochs");
    /// Readings of a window; items: entries in the answers.
    pub const RECENT: Self = Self("cache.recent");
    /// Look-ups of an entry.
    pub const CACHE_FIND: Self = Self("cache.find");
    /// Readings of changes on their way.
    pub const CHANGES: Self = Self("cache.changes");
    /// Questions for heads; items: conversations.
    pub const HEADS: Self = Self("cache.heads");
    /// Questions for what was lost before it was stored; items: entries.
    pub const LOST: Self = Self("cache.lost");
    /// Stored entries taken out of the outbox; items: entries.
    pub const SETTLE: Self = Self("cache.settle");
    /// Entries taken back.
    pub const WITHDRAW: Self = Self("cache.withdraw");
    /// Questions for what is overdue.
    pub const CLAIM_OVERDUE: Self = Self("cache.claim_overdue");
    /// Questions for the outbox's length.
    pub const OUTBOX_LEN: Self = Self("cache.outbox_len");
    /// Registrations; items: sessions.
    pub const REGISTER: Self = Self("registry.register");
    /// Ends of sessions; items: sessions.
    pub const UNREGISTER: Self = Self("registry.unregister");
    /// Renewals of a lease.
    pub const RENEW: Self = Self("registry.renew");
    /// Nodes that say goodbye.
    pub const REMOVE_NODE: Self = Self("registry.remove_node");
    /// Look-ups of nodes; items: users asked for.
    pub const NODES_OF: Self = Self("registry.nodes_of");
    /// Questions for presence; items: users.
    pub const PRESENCE: Self = Self("registry.presence");
    /// Batches of entries stored; items: entries.
    pub const INSERT: Self = Self("store.insert");
    /// Entries moved.
    pub const RELOCATE: Self = Self("store.relocate");
    /// Pages read; items: entries in the answers.
    pub const PAGE: Self = Self("store.page");
    /// Look-ups of an entry.
    pub const STORE_FIND: Self = Self("store.find");
    /// Direct conversations made.
    pub const OPEN_DIRECT: Self = Self("store.open_direct");
    /// Readings of a conversation's members; items: members in the answers.
    pub const MEMBERS: Self = Self("store.members");
    /// Changes of members.
    pub const COMMIT_MEMBERS: Self = Self("store.commit_members");
    /// Readings of changes that the log lacks.
    pub const UNLOGGED: Self = Self("store.unlogged");
    /// Readings of a user's conversations; items: conversations in the answers.
    pub const MEMBERSHIPS: Self = Self("store.memberships");
    /// Marks written; items: marks.
    pub const MARK: Self = Self("store.mark");
    /// Marks read.
    pub const MARKS: Self = Self("store.marks");
    /// Heads written; items: heads.
    pub const SET_HEADS: Self = Self("store.set_heads");
    /// Blocks made or ended.
    pub const BLOCK: Self = Self("store.block");
    /// Readings of a user's blocks.
    pub const BLOCKS: Self = Self("store.blocks");
    /// Questions whether one of two users blocks the other.
    pub const BLOCKED_BETWEEN: Self = Self("store.blocked_between");

    /// The port's and the method's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    calls: u64,
    items: u64,
}

/// What was counted in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    totals: BTreeMap<Op, Tally>,
    /// Calls by second.
    seconds: BTreeMap<Op, BTreeMap<u64, u64>>,
    /// Live events by the node that received them.
    received: BTreeMap<NodeId, u64>,
}

impl Counted {
    /// How often it was called.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.totals.get(&op).map_or(0, |tally| tally.calls)
    }

    /// How many things the calls were about.
    #[must_use]
    pub fn items(&self, op: Op) -> u64 {
        self.totals.get(&op).map_or(0, |tally| tally.items)
    }

    /// The most calls in one second.
    #[must_use]
    pub fn peak(&self, op: Op) -> u64 {
        let seconds = self.seconds.get(&op).into_iter();
        let calls = seconds.flat_map(BTreeMap::values);
        calls.copied().max().unwrap_or(0)
    }

    /// Live events that each node received.
    #[must_use]
    pub fn received(&self) -> &BTreeMap<NodeId, u64> {
        &self.received
    }

    /// Adds what was counted of another stretch. Seconds with the same number are one.
    pub(super) fn add(&mut self, other: &Self) {
        for (op, tally) in &other.totals {
            let total = self.totals.entry(*op).or_default();
            total.calls += tally.calls;
            total.items += tally.items;
        }
        for (op, seconds) in &other.seconds {
            let known = self.seconds.entry(*op).or_default();
            for (second, calls) in seconds {
                *known.entry(*second).or_default() += calls;
            }
        }
        for (node, events) in &other.received {
            *self.received.entry(node.clone()).or_default() += events;
        }
    }
}

/// Counts, shared by all ports and nodes of a fleet.
#[derive(Debug, Clone)]
pub(super) struct Counts(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    since: Instant,
    counted: Counted,
    /// Nodes that receive live events now.
    receivers: BTreeSet<NodeId>,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            since: Instant::now(),
            counted: Counted::default(),
            receivers: BTreeSet::new(),
        })))
    }

    /// What was counted since the last time. Counts begin anew, at this moment.
    pub(super) fn take(&self) -> Counted {
        let mut state = self.0.lock();
        state.since = Instant::now();
        std::mem::take(&mut state.counted)
    }

    pub(super) fn note(&self, op: Op, items: usize) {
        self.note_many(op, 1, items);
    }

    pub(super) fn note_many(&self, op: Op, calls: usize, items: usize) {
        let mut state = self.0.lock();
        let second = state.since.elapsed().as_secs();
        let counted = &mut state.counted;
        let tally = counted.totals.entry(op).or_default();
        tally.calls += calls as u64;
        tally.items += items as u64;
        let seconds = counted.seconds.entry(op).or_default();
        *seconds.entry(second).or_default() += calls as u64;
    }

    pub(super) fn begin_receiving(&self, node: &NodeId) {
        self.0.lock().receivers.insert(node.clone());
    }

    pub(super) fn end_receiving(&self, node: &NodeId) {
        self.0.lock().receivers.remove(node);
    }

    /// How many nodes receive live events now.
    pub(super) fn receivers(&self) -> usize {
        self.0.lock().receivers.len()
    }

    pub(super) fn note_received(&self, node: &NodeId, events: usize) {
        let mut state = self.0.lock();
        *state.counted.received.entry(node.clone()).or_default() += events as u64;
    }
}
