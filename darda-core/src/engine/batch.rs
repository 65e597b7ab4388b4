//! A writer's batch: from what the broker handed over to a verdict on each delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::node::Node;
use super::writer::Pace;
use crate::error::Result;
use crate::model::{Body, ConversationId, Entry, Position};
use crate::ports::{Delivery, EventBody, Head, Inserted, Settled, Verdict};

/// Conversations whose entries are dealt with at a time.
const AT_ONCE: usize = 32;

/// What is left to do about an entry that does not simply stand where it was appended.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// It is a change of members that another one came before.
    Refused,
    /// Its id is stored at another position.
    Overtaken { stands: Position },
    /// It has a new position, and is stored at another one.
    Unmoved { from: Position },
    /// Another entry has its position.
    Taken,
    /// It is stored, and the cache has forgotten it.
    Forgotten,
}

/// Entries and the verdicts on their deliveries, `Again` until something else is known.
pub(super) struct Batch<'a> {
    node: &'a Arc<Node>,
    entries: Vec<Arc<Entry>>,
    /// Where entries were delivered that have a new position now.
    moved_from: BTreeMap<usize, Position>,
    verdicts: &'a mut [Verdict],
    pace: &'a mut Pace,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        node: &'a Arc<Node>,
        deliveries: &[Delivery],
        verdicts: &'a mut [Verdict],
        pace: &'a mut Pace,
    ) -> Self {
        Self {
            node,
            entries: deliveries.iter().map(|it| it.entry.clone()).collect(),
            moved_from: BTreeMap::new(),
            verdicts,
            pace,
        }
    }

    fn entry(&self, at: usize) -> Arc<Entry> {
        self.entries[at].clone()
    }

    fn numbered(&self, at: &[usize]) -> Vec<(usize, Arc<Entry>)> {
        at.iter().map(|at| (*at, self.entry(*at))).collect()
    }

    fn is_change(&self, at: usize) -> bool {
        matches!(self.entries[at].body, Body::Members { .. })
    }

    /// Notes what became of a delivery.
    fn judge(&mut self, at: usize, outcome: Result<()>) {
        self.verdicts[at] = match outcome {
            Ok(()) => Verdict::Done,
            Err(error) if error.is_transient() => Verdict::Again,
            Err(error) => {
                let entry = &self.entries[at];
                tracing::error!(id = %entry.id, conversation = %entry.conversation, %error,
                    "an entry can never be stored");
                Verdict::Dead
            }
        };
    }

    pub(super) async fn process(&mut self) {
        let (mut insert, mut left) = self.commit_changes().await;
        self.renew(&mut insert).await;
        let mut taken = true;
        // What was stored and settled stays so, whatever becomes of the rest.
        for some in insert.chunks(self.pace.now) {
            taken = self.store(some, &mut left).await;
            if !taken {
                break;
            }
        }
        if taken {
            self.pace.faster();
        } else {
            self.pace.slower();
        }
        self.deal_with(left).await;
        self.take_back_dead().await;
    }

    /// Applies changes of members. Gives what is to be stored, and what is left to do.
    async fn commit_changes(&mut self) -> (Vec<usize>, Vec<(usize, Left)>) {
        let (changes, mut insert): (Vec<_>, Vec<_>) =
            (0..self.entries.len()).partition(|at| self.is_change(*at));
        let (node, mut left) = (self.node, Vec::new());
        let changes = changes.into_iter().map(|at| (at, ())).collect();
        let committed = self.in_order(changes, |entry, ()| async move {
            node.bounded(node.commit_change(&entry)).await
        });
        for (at, committed) in committed.await {
            match committed {
                Ok(true) => insert.push(at),
                Ok(false) => left.push((at, Left::Refused)),
                Err(error) => self.judge(at, Err(error)),
            }
        }
        insert.sort_unstable();
        (insert, left)
    }

    /// Gives those that the cache has lost new positions, and leaves in `insert` what is to be stored.
    ///
    /// Found out after they were stored they would have to be moved in the store, at several round
    /// trips each; behind a cache that lost its memory thousands of them wait. Changes of members take
    /// that way: the store has them already, at their first position.
    async fn renew(&mut self, insert: &mut Vec<usize>) {
        if insert.is_empty() {
            return;
        }
        let cache = &self.node.ports.cache;
        let (mut lost, mut failed) = (Vec::new(), BTreeSet::new());
        let asked = self.numbered(insert);
        let answers = self.node.ask_cache(asked, |entries| cache.lost(entries));
        for (at, answer) in answers.await {
            match answer {
                Ok(is_lost) if is_lost && !self.is_change(at) => lost.push((at, ())),
                Ok(_) => {}
                Err(error) => {
                    failed.insert(at);
                    self.judge(at, Err(error));
                }
            }
        }
        let node = self.node;
        let renewed = self.in_order(lost, |entry, ()| async move {
            node.bounded(node.reposition(&entry)).await
        });
        for (at, renewed) in renewed.await {
            match renewed {
                Ok(Some(renewed)) => {
                    self.moved_from.insert(at, self.entries[at].position);
                    self.entries[at] = renewed;
                }
                Ok(None) => {}
                Err(error) => {
                    failed.insert(at);
                    self.judge(at, Err(error));
                }
            }
        }
        insert.retain(|at| !failed.contains(at));
    }

    /// Stores entries and takes them out of the outbox. Returns whether they were taken in time.
    async fn store(&mut self, at: &[usize], left: &mut Vec<(usize, Left)>) -> bool {
        let Some(inserted) = self.insert(at).await else {
            return false;
        };
        let mut settle = Vec::new();
        for (at, inserted) in inserted {
            if matches!(inserted, Inserted::New | Inserted::Repeat)
                && let Some(from) = self.moved_from.get(&at)
            {
                self.node.tell_moved(&self.entries[at], *from);
            }
            match inserted {
                Inserted::New => {
                    self.node.instruments.written.increment(1);
                    settle.push(at);
                }
                Inserted::Repeat => {
                    self.node.instruments.writer_repeats.increment(1);
                    settle.push(at);
                }
                Inserted::Duplicate { stands } => match self.moved_from.get(&at).copied() {
                    Some(from) => left.push((at, Left::Unmoved { from })),
                    None => left.push((at, Left::Overtaken { stands })),
                },
                Inserted::Taken => left.push((at, Left::Taken)),
            }
        }
        self.settle(settle, left).await
    }

    /// Does what is left to do.
    async fn deal_with(&mut self, left: Vec<(usize, Left)>) {
        let node = self.node;
        let outcomes = self.in_order(left, |entry, left| async move {
            node.bounded(node.deal_with(&entry, left)).await
        });
        for (at, outcome) in outcomes.await {
            self.judge(at, outcome);
        }
    }

    /// Takes back what can never be stored, before the broker has it among the dead letters: until then it
    /// delivers it again.
    async fn take_back_dead(&mut self) {
        let dead = (0..self.entries.len()).filter(|at| self.verdicts[*at] == Verdict::Dead);
        let dead = dead.map(|at| (at, self.moved_from.get(&at).copied()));
        let node = self.node;
        let taken_back = self.in_order(dead.collect(), |entry, from| async move {
            node.bounded(node.take_back_dead(&entry, from)).await
        });
        for (at, taken_back) in taken_back.await {
            match taken_back {
                Ok(()) => {}
                Err(error) if error.is_transient() => self.verdicts[at] = Verdict::Again,
                Err(error) => tracing::error!(%error, "a dead entry is not taken back"),
            }
        }
    }

    /// Does something for each entry: in several conversations at a time, since each entry costs some
    /// round trips and a cache that lost its memory leaves many; in each one after another, so that its
    /// entries keep their order.
    async fn in_order<T, U, F>(
        &self,
        work: Vec<(usize, T)>,
        act: impl Fn(Arc<Entry>, T) -> F,
    ) -> Vec<(usize, Result<U>)>
    where
        F: Future<Output = Result<U>>,
    {
        let mut conversations: BTreeMap<ConversationId, Vec<_>> = BTreeMap::new();
        for (at, what) in work {
            let entry = self.entry(at);
            let one = conversations.entry(entry.conversation).or_default();
            one.push((at, entry, what));
        }
        let act = &act;
        let work = conversations.into_values().map(|one| async move {
            let mut outcomes = Vec::with_capacity(one.len());
            for (at, entry, what) in one {
                outcomes.push((at, act(entry, what).await));
            }
            outcomes
        });
        let outcomes: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
        outcomes.into_iter().flatten().collect()
    }

    /// The store's judgements of entries. `None`: it did not take them in time.
    async fn insert(&mut self, at: &[usize]) -> Option<Vec<(usize, Inserted)>> {
        let entries = at.iter().map(|at| self.entry(*at)).collect();
        let insert = self.node.ports.store.insert(entries);
        match self.node.bounded(insert).await {
            Ok(inserted) => Some(at.iter().copied().zip(inserted).collect()),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, count = at.len(), "the store does not take a batch");
                None
            }
            Err(_) => Some(self.insert_one_by_one(at).await),
        }
    }

    /// Finds the entries for which the store refuses a batch.
    async fn insert_one_by_one(&mut self, at: &[usize]) -> Vec<(usize, Inserted)> {
        let mut judged = Vec::new();
        for at in at.iter().copied() {
            let insert = self.node.ports.store.insert(vec![self.entry(at)]);
            match self.node.bounded(insert).await {
                Ok(inserted) => judged.extend(inserted.into_iter().map(|inserted| (at, inserted))),
                Err(error) => self.judge(at, Err(error)),
            }
        }
        judged
    }

    /// Takes stored entries out of the outbox and moves heads on. Returns whether that was done for any.
    async fn settle(&mut self, at: Vec<usize>, left: &mut Vec<(usize, Left)>) -> bool {
        if at.is_empty() {
            return true;
        }
        let entries: Vec<_> = at.iter().map(|at| self.entry(*at)).collect();
        match self.node.bounded(self.node.move_heads(&entries)).await {
            Ok(()) => {}
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "stored entries are not settled");
                return false;
            }
            Err(error) => tracing::error!(%error, "heads are not moved"),
        }
        let cache = &self.node.ports.cache;
        let asked = self.numbered(&at);
        let answers = self.node.ask_cache(asked, |entries| cache.settle(entries));
        let mut settled = false;
        for (at, answer) in answers.await {
            settled |= answer.is_ok();
            match answer {
                Ok(Settled::Cleared | Settled::Known) => self.judge(at, Ok(())),
                Ok(Settled::Lost) => left.push((at, Left::Forgotten)),
                Err(error) if error.is_transient() => {}
                Err(error) => {
                    // It is stored all the same.
                    tracing::error!(%error, "a stored entry is not settled");
                    self.judge(at, Ok(()));
                }
            }
        }
        settled
    }
}

impl Node {
    async fn deal_with(self: &Arc<Self>, entry: &Arc<Entry>, left: Left) -> Result<()> {
        match left {
            Left::Refused => self.take_back(entry, None).await,
            Left::Overtaken { stands } => self.overtaken(entry, stands).await,
            Left::Unmoved { from } => {
                // Another copy of it may have been taken back meanwhile, from this very position.
                let entry = self.new_position(entry).await?;
                self.stand(&entry, from).await
            }
            Left::Taken => self.move_unstored(entry).await,
            Left::Forgotten => self.move_on(entry).await,
        }
    }

    /// Takes an entry back that can never be stored at its position, nor where it was delivered. One that
    /// is stored there is left alone, and so is a change of members that is in force.
    async fn take_back_dead(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        from: Option<Position>,
    ) -> Result<()> {
        let store = &self.ports.store;
        if let Body::Members { .. } = entry.body {
            let in_force = store.unlogged(entry.conversation).await?;
            if in_force.iter().any(|change| change.id == entry.id) {
                return Ok(());
            }
        }
        let stands = store.find(entry.conversation, entry.id).await?;
        let stands = stands.map(|standing| standing.position);
        if stands != Some(entry.position) {
            self.take_back(entry, stands).await?;
        }
        if let Some(from) = from.filter(|from| stands != Some(*from)) {
            self.tell_withdrawn(entry, from, stands);
        }
        Ok(())
    }

    pub(crate) async fn move_heads(&self, entries: &[Arc<Entry>]) -> Result<()> {
        let mut heads: BTreeMap<ConversationId, Head> = BTreeMap::new();
        for entry in entries {
            let head = Head {
                position: entry.position,
                last_message: entry.body.is_message().then(|| entry.clone()),
            };
            let newest = match heads.remove(&entry.conversation) {
                Some(known) => known.max(head),
                None => head,
            };
            heads.insert(entry.conversation, newest);
        }
        self.ports
            .store
            .set_heads(heads.into_iter().collect())
            .await
    }

    /// Takes an entry back that does not stand at its position.
    pub(crate) async fn take_back(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        stands: Option<Position>,
    ) -> Result<()> {
        self.ports
            .cache
            .withdraw(entry.conversation, entry.id, entry.position)
            .await?;
        self.instruments.writer_withdrawn.increment(1);
        self.tell_withdrawn(entry, entry.position, stands);
        Ok(())
    }

    pub(crate) fn tell_withdrawn(
        self: &Arc<Self>,
        entry: &Entry,
        position: Position,
        stands: Option<Position>,
    ) {
        let body = EventBody::Withdrawn {
            conversation: entry.conversation,
            id: entry.id,
            position,
            stands,
        };
        self.tell_members(entry, body, None);
    }
}
