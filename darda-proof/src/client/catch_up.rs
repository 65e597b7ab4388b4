//! How a client gets what it lacks: the list of its conversations, resuming with cursors, attaching,
//! and paging through a gap. An answer marked stale moves no cursor: it is asked for again.

use std::collections::BTreeSet;
use std::time::Duration;

use darda_core::model::{ConversationId, EntryId, Position};
use darda_sim::history::{Request, Seen, Via, What};
use serde_json::json;
use tokio::time::Instant;

use super::backoff;
use super::calls::Purpose;
use super::state::State;
use crate::wire::{Attached, Entry, Failure, Gap, Listed, Page, Resumed};

/// Conversations of a page of the list.
const LIST_PAGE: usize = 100;
/// Entries of a page of history.
const PAGE: usize = 200;
/// After a stale answer.
const STALE: Duration = Duration::from_secs(2);
/// Attaches of one client under way.
const AT_ONCE: usize = 8;

/// An attach, with what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    conversation: ConversationId,
    life: u64,
    /// Everything after this is read.
    after: Position,
    /// Up to here, if not to the end.
    before: Option<Position>,
    /// What the attach brought beyond the gap.
    beyond: Vec<Entry>,
    /// What waited ahead of the cursor when the answer was asked for: it is in the answer, or does
    /// not stand there.
    ahead: Vec<(Position, EntryId)>,
}

/// A conversation that a resume asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    conversation: ConversationId,
    life: u64,
    cursor: Position,
}

impl State {
    /// Reads the list of conversations, from its beginning.
    pub(super) fn list_if_due(&mut self, now: Instant) {
        if self.list_due.is_some_and(|due| due <= now) {
            // It stays due until the reply: nothing is known before.
            self.list_due = Some(now + Duration::from_secs(3600));
            self.list_page(Vec::new(), None);
        }
    }

    fn list_page(&mut self, found: Vec<ConversationId>, before: Option<Position>) {
        let mut fields = json!({"limit": LIST_PAGE});
        if let Some(before) = before {
            fields["before"] = before.0.into();
        }
        let request = Request::Other {
            what: "conversations".to_owned(),
        };
        self.ask("conversations", fields, request, Purpose::List { found });
    }

    fn list_later(&mut self, failure: &Failure) {
        let wait = failure.retry_after().unwrap_or_default();
        self.list_due = Some(Instant::now() + wait + backoff(self.list_failures, &mut self.rng));
        self.list_failures += 1;
    }

    pub(super) fn listed(
        &mut self,
        mut found: Vec<ConversationId>,
        answer: Result<Listed, Failure>,
    ) {
        let page = match answer {
            Ok(listed) => listed.conversations,
            Err(failure) => return self.list_later(&failure),
        };
        found.extend(page.iter().map(|summary| summary.conversation));
        let before = page.last().and_then(|summary| summary.head);
        if page.len() >= LIST_PAGE && before.is_some() {
            return self.list_page(found, before);
        }
        let found: BTreeSet<_> = found.into_iter().collect();
        let strange: Vec<_> = self
            .talks
            .keys()
            .filter(|known| !found.contains(known))
            .copied()
            .collect();
        for conversation in strange {
            self.forget(conversation);
        }
        for conversation in found {
            if self
                .talks
                .get(&conversation)
                .is_none_or(|talk| talk.copy.cursor().is_none())
            {
                self.need(conversation, Duration::ZERO);
            }
        }
        let cursors = self.talks.iter().filter(|(_, talk)| !talk.fetching);
        let cursors: Vec<_> = cursors
            .filter_map(|(at, talk)| {
                Some(Asked {
                    conversation: *at,
                    life: talk.life,
                    cursor: talk.copy.cursor()?,
                })
            })
            .collect();
        for asked in &cursors {
            if let Some(talk) = self.talks.get_mut(&asked.conversation) {
                talk.fetching = true;
                talk.due = None;
            }
        }
        let named: Vec<_> = cursors
            .iter()
            .map(|asked| json!({"conversation": asked.conversation, "cursor": asked.cursor}))
            .collect();
        let request = Request::Other {
            what: "resume".to_owned(),
        };
        self.ask(
            "resume",
            json!({"cursors": named}),
            request,
            Purpose::Resume { cursors },
        );
        if let Some(link) = &mut self.link {
            link.resumed = true;
        }
        self.attach_if_due(Instant::now());
        self.send_if_due(Instant::now());
    }

    pub(super) fn resumed(&mut self, cursors: &[Asked], answer: Result<Resumed, Failure>) {
        for asked in cursors {
            if let Some(talk) = self.talks.get_mut(&asked.conversation)
                && talk.life == asked.life
            {
                talk.fetching = false;
            }
        }
        let resumed = match answer {
            Ok(resumed) => resumed,
            Err(failure) => return self.list_later(&failure),
        };
        self.list_due = None;
        self.list_failures = 0;
        let mut named = BTreeSet::new();
        for one in resumed.conversations {
            named.insert(one.conversation);
            let asked = cursors
                .iter()
                .find(|it| it.conversation == one.conversation);
            let (Some(asked), Some(talk)) = (asked, self.talks.get_mut(&one.conversation)) else {
                continue;
            };
            // Forgotten and begun anew meanwhile, it is attached from its beginning.
            if talk.life != asked.life {
                continue;
            }
            let reading = Reading {
                conversation: one.conversation,
                life: asked.life,
                after: asked.cursor,
                before: None,
                beyond: Vec::new(),
                ahead: Vec::new(),
            };
            talk.fetching = true;
            let answer = match one.error {
                Some(failure) => Err(failure),
                None => Ok(Attached {
                    entries: one.entries,
                    gap: one.gap,
                    stale: one.stale,
                }),
            };
            self.attached(reading, answer);
        }
        // Nothing was missing when it was asked; what came meanwhile may still wait for something.
        let unnamed = cursors.iter().map(|asked| asked.conversation);
        for conversation in unnamed.filter(|it| !named.contains(it)) {
            if self
                .talks
                .get(&conversation)
                .is_some_and(|talk| talk.copy.is_behind())
            {
                self.need(conversation, Duration::ZERO);
            }
        }
    }

    /// Attaches what is due.
    pub(super) fn attach_if_due(&mut self, now: Instant) {
        if !self.link.as_ref().is_some_and(|link| link.resumed) {
            return;
        }
        let busy = self.talks.values().filter(|talk| talk.fetching).count();
        let mut due = Vec::new();
        for (conversation, talk) in &mut self.talks {
            if !talk.fetching && talk.due.is_some_and(|at| at <= now) && busy + due.len() < AT_ONCE
            {
                talk.due = None;
                // What was missing may have come meanwhile.
                if talk.failures == 0 && talk.copy.cursor().is_some() && !talk.copy.is_behind() {
                    due.push((*conversation, talk.life, talk.copy.cursor(), Vec::new()));
                } else {
                    let ahead = talk.copy.ahead().collect();
                    due.push((*conversation, talk.life, talk.copy.cursor(), ahead));
                }
                talk.fetching = true;
            }
        }
        for (conversation, life, cursor, ahead) in due {
            let after = cursor.unwrap_or_default();
            let request = Request::Read {
                conversation,
                what: "attach".to_owned(),
            };
            let reading = Reading {
                conversation,
                life,
                after,
                before: None,
                beyond: Vec::new(),
                ahead,
            };
            let fields = json!({"conversation": conversation, "cursor": after});
            self.ask("attach", fields, request, Purpose::Attach(reading));
        }
    }

    pub(super) fn attached(&mut self, reading: Reading, answer: Result<Attached, Failure>) {
        if !self.is_meant(&reading) {
            return;
        }
        let attached = match answer {
            Ok(attached) if attached.stale => return self.attach_later(&reading, STALE),
            Ok(attached) => attached,
            Err(failure) => return self.attach_failed(&reading, &failure),
        };
        match attached.gap {
            None => self.read(&reading, &attached.entries, Via::Attach, true),
            Some(Gap { after, before }) => {
                // What stands before the gap follows the cursor; the rest waits for what lies between.
                let first = |entry: &Entry| entry.position <= after;
                let (first, beyond) = attached.entries.into_iter().partition(first);
                let first: Vec<_> = first;
                self.read(&reading, &first, Via::Attach, false);
                self.page(Reading {
                    after,
                    before,
                    beyond,
                    ..reading
                });
            }
        }
    }

    fn page(&mut self, reading: Reading) {
        let conversation = reading.conversation;
        let request = Request::Read {
            conversation,
            what: "history".to_owned(),
        };
        let fields = json!({"conversation": conversation, "after": reading.after, "limit": PAGE});
        self.ask("history", fields, request, Purpose::Page(reading));
    }

    pub(super) fn paged(&mut self, mut reading: Reading, answer: Result<Page, Failure>) {
        if !self.is_meant(&reading) {
            return;
        }
        let page = match answer {
            Ok(page) if page.stale => return self.attach_later(&reading, STALE),
            Ok(page) => page,
            Err(failure) => return self.attach_failed(&reading, &failure),
        };
        let last = page.entries.last().map(|entry| entry.position);
        let reached = reading
            .before
            .is_some_and(|before| last.is_some_and(|last| last >= before));
        self.read(&reading, &page.entries, Via::History, false);
        match last {
            Some(last) if page.more && !reached => {
                reading.after = last;
                self.page(reading);
            }
            _ => {
                reading.after = last.unwrap_or(reading.after);
                let beyond = std::mem::take(&mut reading.beyond);
                // They follow the gap without a hole.
                self.read(&reading, &beyond, Via::Attach, true);
            }
        }
    }

    /// Takes over what was read: everything after `reading.after`.
    fn read(&mut self, reading: &Reading, entries: &[Entry], via: Via, whole: bool) {
        let (session, conversation) = (self.session(), reading.conversation);
        for entry in entries {
            let entry = Seen::from(entry);
            self.recorder.note(What::Got {
                session,
                entry,
                via,
            });
        }
        let Some(talk) = self.talks.get_mut(&conversation) else {
            return;
        };
        let places = entries.iter().map(|it| (it.position, it.prev, &it.entry));
        let moved = talk.copy.fetched(reading.after, places);
        if whole {
            for (position, id) in &reading.ahead {
                if talk.copy.cursor().is_some_and(|cursor| *position > cursor) {
                    talk.copy.withdrawn(*position, *id);
                }
            }
            talk.fetching = false;
            talk.failures = 0;
            if talk.copy.is_behind() && talk.due.is_none() {
                talk.due = Some(Instant::now() + Duration::from_millis(100));
            }
        }
        if let Some((from, to)) = moved {
            self.note_moved(conversation, from, to);
        }
        for entry in entries {
            self.probes.seen(conversation, entry.entry, &self.user);
        }
    }

    /// Whether an answer is about what is known now.
    fn is_meant(&self, reading: &Reading) -> bool {
        let talk = self.talks.get(&reading.conversation);
        talk.is_some_and(|talk| talk.life == reading.life)
    }

    fn attach_failed(&mut self, reading: &Reading, failure: &Failure) {
        match failure.retry_after() {
            Some(wait) => self.attach_later(reading, wait),
            None => self.forget(reading.conversation),
        }
    }

    fn attach_later(&mut self, reading: &Reading, wait: Duration) {
        if let Some(talk) = self.talks.get_mut(&reading.conversation) {
            talk.fetching = false;
            let due = Instant::now() + wait + backoff(talk.failures, &mut self.rng);
            talk.due = Some(due);
            talk.failures += 1;
        }
    }
}
