//! After each connect: which conversations there are, and what came after the cursors.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use super::asking::Purpose;
use super::catch_up::Reading;
use super::timers::Due;
use crate::backoff::backoff;
use crate::id::{ConversationId, Position};
use crate::updates::Update;
use crate::wire::{Attached, Command, Cursor, Listed, Resumed, Summary};

/// Conversations of a page of the list; the server's limit.
const LIST_PAGE: usize = 100;
/// Conversations that are asked for: the server's limit is 1,000, and the list may move meanwhile.
const MAX_LISTED: usize = 2_000;
/// Cursors of one `resume`. The server takes 1,000, and a frame of 128 KiB.
const CURSORS: usize = 500;

/// Where it stands.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// Answers to an earlier one count no more.
    pub(super) number: u64,
    stage: Stage,
    failures: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is no connection, or the list is not known yet.
    #[default]
    Listing,
    /// So many answers to `resume` are to come.
    Resuming(usize),
    Done,
}

impl Sync {
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }
}

impl Driver {
    /// After each connect, and when the server says that anything may be missing.
    pub(super) fn start_sync(&mut self) {
        self.stop_sync();
        self.ready.extend(self.outbox.conversations());
        self.list();
    }

    pub(super) fn stop_sync(&mut self) {
        self.sync.number += 1;
        self.sync.stage = Stage::Listing;
        self.stop_reading();
    }

    pub(super) fn list(&mut self) {
        self.list_page(Vec::new(), None);
    }

    fn list_page(&mut self, found: Vec<Summary>, before: Option<Position>) {
        let command = Command::Conversations {
            before,
            limit: LIST_PAGE,
        };
        self.ask(command, Purpose::List(self.sync.number, found));
    }

    pub(super) fn list_later(&mut self, number: u64, asked: Option<Duration>) {
        if number != self.sync.number {
            return;
        }
        // What cannot be listed now might be later, whatever the server says.
        let timing = self.settings.timing;
        let wait = backoff(
            timing.first_wait,
            timing.longest_wait,
            self.sync.failures,
            &mut self.random,
        );
        self.sync.failures += 1;
        let at = self.after(asked.unwrap_or_default()) + wait;
        self.stop_sync();
        self.timers.set(at, Due::List);
    }

    pub(super) fn listed(&mut self, number: u64, mut found: Vec<Summary>, listed: Listed) {
        if number != self.sync.number {
            return;
        }
        let full = listed.conversations.len() >= LIST_PAGE;
        found.extend(listed.conversations);
        let before = found.last().and_then(|summary| summary.head);
        if full && before.is_some() && found.len() < MAX_LISTED {
            return self.list_page(found, before);
        }
        let now = Instant::now();
        for summary in found {
            self.talk(&summary.conversation);
            self.tell_if_room(Update::Listed(summary));
        }
        // Also those that are not listed: one that moves to the list's top while it is read is on none of
        // its pages. One that the user has left is refused.
        let unread = self
            .talks
            .iter()
            .filter(|(_, talk)| talk.log.cursor().is_none());
        for conversation in unread.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.need(&conversation, now, true);
        }
        self.resume();
    }

    fn resume(&mut self) {
        let mut cursors = Vec::new();
        for (conversation, talk) in &mut self.talks {
            if let Some(cursor) = talk.log.cursor() {
                talk.fetching = true;
                cursors.push((conversation.clone(), cursor));
            }
        }
        self.fetches += cursors.len();
        self.sync.stage = Stage::Resuming(cursors.len().div_ceil(CURSORS));
        for chunk in cursors.chunks(CURSORS) {
            let command = Command::Resume {
                cursors: chunk
                    .iter()
                    .map(|(conversation, cursor)| Cursor {
                        conversation: conversation.clone(),
                        cursor: *cursor,
                    })
                    .collect(),
            };
            self.ask(command, Purpose::Resume(self.sync.number, chunk.to_vec()));
        }
        self.fetch_places();
        if cursors.is_empty() {
            self.sync.stage = Stage::Done;
            self.sync.failures = 0;
        }
    }

    pub(super) fn resumed(
        &mut self,
        number: u64,
        asked: &[(ConversationId, Position)],
        resumed: Resumed,
    ) {
        if number != self.sync.number {
            return;
        }
        if let Stage::Resuming(left) = self.sync.stage {
            self.sync.stage = match left {
                ..=1 => Stage::Done,
                _ => Stage::Resuming(left - 1),
            };
            self.sync.failures = 0;
        }
        let mut named = HashSet::new();
        for one in resumed.conversations {
            let cursor = asked.iter().find(|(known, _)| *known == one.conversation);
            let Some(reading) = cursor.and_then(|(name, cursor)| self.reading(name, *cursor))
            else {
                continue;
            };
            named.insert(one.conversation);
            match one.error {
                Some(refusal) => {
                    let wait = refusal.retry_after_ms.map(Duration::from_millis);
                    self.reading_failed(&reading, wait);
                }
                None => self.attached(
                    reading,
                    Attached {
                        entries: one.entries,
                        gap: one.gap,
                        head: one.head,
                        stale: one.stale,
                    },
                ),
            }
        }
        // Nothing was missing when it was asked; what came meanwhile may still wait for something.
        for (conversation, cursor) in asked {
            if !named.contains(conversation)
                && let Some(reading) = self.reading(conversation, *cursor)
            {
                self.read(reading, Vec::new(), true);
            }
        }
    }

    /// A reading of everything after the cursor that was told to the server.
    fn reading(&self, conversation: &ConversationId, after: Position) -> Option<Reading> {
        let talk = self.talks.get(conversation)?;
        // What waited by then is not known any more; nothing is taken away from it.
        Some(Reading::new(
            conversation.clone(),
            talk,
            self.sync.number,
            after,
            Vec::new(),
        ))
    }
}
