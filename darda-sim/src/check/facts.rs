//! A history, read once: who is who, what was asked and answered, and who was a member when.

use std::collections::{BTreeMap, BTreeSet};

use darda_core::model::{
    ConversationId, ConversationKind, EntryId, Epoch, Members, Position, UserId,
};

use crate::history::{DeviceNo, History, Log, Reply, Request, SessionNo, What};

/// A session's owner.
pub(super) struct Owner<'a> {
    pub(super) device: DeviceNo,
    pub(super) user: &'a UserId,
}

/// A call from its beginning to its end.
pub(super) struct Call<'a> {
    pub(super) user: &'a UserId,
    pub(super) request: &'a Request,
    pub(super) asked: u64,
    pub(super) answered: Option<(u64, &'a Reply)>,
}

/// A time in which somebody was a member.
#[derive(Debug, Clone)]
pub(super) struct Stint {
    /// The epoch that ended it.
    pub(super) until: Option<Epoch>,
    pub(super) visible_from: Position,
    /// Nobody can have been a member before: the change was not asked for yet.
    pub(super) not_before: u64,
    /// Certainly a member from here: the change was acknowledged.
    pub(super) surely_from: Option<u64>,
    /// The end was asked for.
    pub(super) perhaps_until: Option<u64>,
    /// The end was acknowledged.
    pub(super) surely_until: Option<u64>,
}

/// What the checkers look up.
pub(super) struct Facts<'a> {
    pub(super) history: &'a History,
    pub(super) sessions: BTreeMap<SessionNo, Owner<'a>>,
    pub(super) calls: Vec<Call<'a>>,
    pub(super) logs: BTreeMap<ConversationId, &'a Log>,
    pub(super) positions: BTreeMap<(ConversationId, EntryId), Position>,
    /// When an entry's first send began.
    pub(super) first_asked: BTreeMap<EntryId, u64>,
    /// When an entry was first acknowledged.
    pub(super) first_acked: BTreeMap<EntryId, u64>,
    /// Entries whose announcement was taken back, with the position.
    pub(super) withdrawn: BTreeSet<(EntryId, Position)>,
    stints: BTreeMap<(ConversationId, UserId), Vec<Stint>>,
    /// The members of each log as its changes make them.
    pub(super) derived: BTreeMap<ConversationId, Members>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut facts = Self {
            history,
            sessions: BTreeMap::new(),
            calls: Vec::new(),
            logs: history
                .outcome
                .logs
                .iter()
                .map(|log| (log.conversation, log))
                .collect(),
            positions: BTreeMap::new(),
            first_asked: BTreeMap::new(),
            first_acked: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            stints: BTreeMap::new(),
            derived: BTreeMap::new(),
        };
        facts.read_records();
        for log in &history.outcome.logs {
            for entry in &log.entries {
                facts
                    .positions
                    .entry((log.conversation, entry.id))
                    .or_insert(entry.position);
            }
            facts.read_members(log);
        }
        facts
    }

    fn read_records(&mut self) {
        let mut by_number = BTreeMap::new();
        for record in &self.history.records {
            match &record.what {
                What::Connected {
                    session,
                    device,
                    user,
                    ..
                } => {
                    self.sessions.insert(
                        *session,
                        Owner {
                            device: *device,
                            user,
                        },
                    );
                }
                What::Asked {
                    call,
                    session,
                    request,
                } => {
                    let Some(owner) = self.sessions.get(session) else {
                        continue;
                    };
                    if let Request::Send { id, .. } = request {
                        self.first_asked.entry(*id).or_insert(record.at);
                    }
                    by_number.insert(*call, self.calls.len());
                    self.calls.push(Call {
                        user: owner.user,
                        request,
                        asked: record.at,
                        answered: None,
                    });
                }
                What::Answered { call, reply } => {
                    let Some(call) = by_number.get(call).and_then(|at| self.calls.get_mut(*at))
                    else {
                        continue;
                    };
                    call.answered = Some((record.at, reply));
                    if let (Request::Send { id, .. }, Reply::Acked { .. }) = (call.request, reply) {
                        self.first_acked.entry(*id).or_insert(record.at);
                    }
                }
                What::Withdrawn { id, position, .. } => {
                    self.withdrawn.insert((*id, *position));
                }
                _ => {}
            }
        }
    }

    /// Replays the changes of members, as far as each follows the one before.
    fn read_members(&mut self, log: &Log) {
        let Some(last) = &log.members else { return };
        if last.kind == ConversationKind::Direct {
            for (user, member) in &last.list {
                let stint = Stint {
                    until: None,
                    visible_from: member.visible_from,
                    not_before: 0,
                    surely_from: None,
                    perhaps_until: None,
                    surely_until: None,
                };
                self.stints
                    .insert((log.conversation, user.clone()), vec![stint]);
            }
            self.derived.insert(log.conversation, last.clone());
            return;
        }
        let mut changes: Vec<_> = log.changes().collect();
        changes.sort_by_key(|(entry, ..)| entry.epoch);
        let mut members = Members::nobody(log.conversation);
        for (entry, base, change) in changes {
            if base != members.epoch {
                continue;
            }
            let delta = members.delta(&entry.sender, change, entry.epoch);
            let next = members.with(&delta);
            for (user, member) in &next.list {
                if members.get(user).is_none() {
                    self.stints
                        .entry((log.conversation, user.clone()))
                        .or_default()
                        .push(Stint {
                            until: None,
                            visible_from: member.visible_from,
                            not_before: self.first_asked.get(&entry.id).copied().unwrap_or(0),
                            surely_from: self.first_acked.get(&entry.id).copied(),
                            perhaps_until: None,
                            surely_until: None,
                        });
                }
            }
            for user in members.list.keys().filter(|user| next.get(user).is_none()) {
                let stints = self
                    .stints
                    .entry((log.conversation, user.clone()))
                    .or_default();
                if let Some(stint) = stints.last_mut() {
                    stint.until = Some(entry.epoch);
                    stint.perhaps_until =
                        Some(self.first_asked.get(&entry.id).copied().unwrap_or(0));
                    stint.surely_until = self.first_acked.get(&entry.id).copied();
                }
            }
            members = next;
        }
        self.derived.insert(log.conversation, members);
    }

    pub(super) fn stints(&self, conversation: ConversationId, user: &UserId) -> &[Stint] {
        self.stints
            .get(&(conversation, user.clone()))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether the user certainly was no member at any moment from `from` to `to`.
    pub(super) fn absent(
        &self,
        conversation: ConversationId,
        user: &UserId,
        from: u64,
        to: u64,
    ) -> bool {
        self.stints(conversation, user)
            .iter()
            .all(|stint| to < stint.not_before || stint.surely_until.is_some_and(|end| from > end))
    }

    /// Whether the user certainly was a member at every moment from `from` to `to`.
    pub(super) fn present(
        &self,
        conversation: ConversationId,
        user: &UserId,
        from: u64,
        to: u64,
    ) -> bool {
        self.stints(conversation, user).iter().any(|stint| {
            stint.surely_from.is_some_and(|begin| begin < from)
                && stint.perhaps_until.is_none_or(|end| end > to)
        })
    }
}
