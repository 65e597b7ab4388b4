//! Messages whose way is watched: a system is whole again when one in every conversation was
//! acknowledged and seen by all members.

use std::collections::{BTreeMap, BTreeSet};

use darda_core::model::{ConversationId, EntryId, Position, UserId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The messages that are watched.
#[derive(Debug, Default)]
pub(crate) struct Probes(Mutex<BTreeMap<EntryId, Probe>>);

#[derive(Debug)]
struct Probe {
    conversation: ConversationId,
    /// When, and at which position; it may stand further on later.
    acked: Option<(Instant, Position)>,
    seen: BTreeMap<UserId, Instant>,
}

impl Probes {
    /// Watches a message from now on.
    pub(crate) fn expect(&self, conversation: ConversationId, id: EntryId) {
        let probe = Probe {
            conversation,
            acked: None,
            seen: BTreeMap::new(),
        };
        self.0.lock().insert(id, probe);
    }

    pub(crate) fn acked(&self, conversation: ConversationId, id: EntryId, position: Position) {
        if let Some(probe) = self.0.lock().get_mut(&id)
            && probe.conversation == conversation
        {
            probe.acked.get_or_insert((Instant::now(), position));
        }
    }

    pub(crate) fn seen(&self, conversation: ConversationId, id: EntryId, user: &UserId) {
        if let Some(probe) = self.0.lock().get_mut(&id)
            && probe.conversation == conversation
        {
            probe.seen.entry(user.clone()).or_insert_with(Instant::now);
        }
    }

    /// What is watched and acknowledged, with the position that it got first.
    pub(crate) fn kept(&self) -> Vec<(ConversationId, (EntryId, Position))> {
        let probes = self.0.lock();
        let kept = |(id, probe): (&EntryId, &Probe)| {
            let (_, position) = probe.acked?;
            Some((probe.conversation, (*id, position)))
        };
        probes.iter().filter_map(kept).collect()
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// When the last probe had been acknowledged and seen by all these; `None`: not yet.
    pub(crate) fn whole(
        &self,
        members: &BTreeMap<ConversationId, BTreeSet<UserId>>,
    ) -> Option<Instant> {
        let probes = self.0.lock();
        let mut last = None;
        for (conversation, members) in members {
            let probe = probes
                .values()
                .find(|probe| probe.conversation == *conversation)?;
            last = last.max(Some(probe.acked?.0));
            for user in members {
                last = last.max(Some(*probe.seen.get(user)?));
            }
        }
        last
    }

    /// Who has not seen what, in words.
    pub(crate) fn missing(
        &self,
        members: &BTreeMap<ConversationId, BTreeSet<UserId>>,
    ) -> Vec<String> {
        let probes = self.0.lock();
        let mut missing = Vec::new();
        for (conversation, members) in members {
            match probes
                .values()
                .find(|probe| probe.conversation == *conversation)
            {
                None => missing.push(format!("no probe in {conversation}")),
                Some(probe) if probe.acked.is_none() => {
                    missing.push(format!("the probe in {conversation} is not acknowledged"));
                }
                Some(probe) => {
                    let blind = members
                        .iter()
                        .filter(|user| !probe.seen.contains_key(*user));
                    missing
                        .extend(blind.map(|user| {
                            format!("{user} does not see the probe in {conversation}")
                        }));
                }
            }
        }
        missing
    }
}
