//! Fetches what is missing of a conversation: by attaching, and by paging through a gap.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use super::asking::Purpose;
use super::timers::Due;
use crate::backoff::backoff;
use crate::id::{ConversationId, EntryId, Position};
use crate::log::Log;
use crate::settings::Start;
use crate::storage::Change;
use crate::updates::Update;
use crate::wire::{Attached, Command, Entry, Gap, Page};

/// Entries of a page of history; the server's limit.
const PAGE: usize = 200;
/// Conversations that are fetched at a time, besides those that are resumed.
const AT_ONCE: usize = 8;
/// Before a log that is still broken after it was attached is attached again.
const AGAIN: Duration = Duration::from_millis(100);

/// A conversation, as this device sees it.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) log: Log,
    /// The newest version of its membership that was seen.
    pub(super) epoch: u64,
    /// What is missing is being fetched.
    pub(super) fetching: bool,
    /// When it is to be attached, and whether also if it became whole meanwhile.
    wanted: Option<(Instant, bool)>,
    failures: u32,
    /// Where entries stand that were announced elsewhere, at or below the cursor, until they are
    /// fetched: on another connection if this one is lost.
    pub(super) elsewhere: BTreeSet<Position>,
    /// One of its own, so that answers about a conversation that was left and joined again are told
    /// apart.
    life: u64,
}

impl Talk {
    pub(super) fn from_cursor(cursor: Position) -> Self {
        let mut talk = Self::new(0);
        talk.log.begin(cursor);
        talk
    }

    fn new(life: u64) -> Self {
        Self {
            log: Log::default(),
            epoch: 0,
            fetching: false,
            wanted: None,
            failures: 0,
            elsewhere: BTreeSet::new(),
            life,
        }
    }
}

/// An answer that is awaited, with what follows it.
#[derive(Debug)]
pub(super) struct Reading {
    conversation: ConversationId,
    life: u64,
    sync: u64,
    /// Everything after this is read.
    after: Position,
    /// Up to here, if not to the end.
    before: Option<Position>,
    /// What the attach brought beyond the gap.
    beyond: Vec<Entry>,
    /// The newest page is asked for, to stand for a gap that is too wide.
    skips: bool,
    /// What waited when it was asked for: it is in the answer, or does not stand.
    waited: Vec<(Position, EntryId)>,
    pages: usize,
}

impl Reading {
    pub(super) fn new(
        conversation: ConversationId,
        talk: &Talk,
        sync: u64,
        after: Position,
        waited: Vec<(Position, EntryId)>,
    ) -> Self {
        Self {
            conversation,
            life: talk.life,
            sync,
            after,
            before: None,
            beyond: Vec::new(),
            skips: false,
            waited,
            pages: 0,
        }
    }
}

impl Driver {
    /// The conversation, which begins to be known if it was not.
    pub(super) fn talk(&mut self, conversation: &ConversationId) -> &mut Talk {
        let life = self.lives + 1;
        self.talks.entry(conversation.clone()).or_insert_with(|| {
            self.lives = life;
            Talk::new(life)
        })
    }

    /// It is the user's no more.
    pub(super) fn leave(&mut self, conversation: &ConversationId) {
        if let Some(talk) = self.talks.remove(conversation) {
            self.fetches -= usize::from(talk.fetching);
            self.behind.remove(conversation);
            self.keeper.keep(Change::Forget(conversation.clone()));
        }
        self.tell(Update::Left(conversation.clone()));
    }

    /// An entry came by itself, or is one's own.
    pub(super) fn receive(&mut self, entry: Entry) {
        let conversation = entry.conversation.clone();
        let now = Instant::now();
        let room = self.has_room();
        let talk = self.talk(&conversation);
        talk.epoch = talk.epoch.max(entry.epoch);
        if !room {
            // It is fetched when the app keeps up again.
            return self.need(&conversation, now, true);
        }
        if talk.log.receive(entry) {
            match self.own_ack_until(&conversation) {
                Some(at) => self.need(&conversation, at, false),
                None => self.need(&conversation, now, false),
            }
        }
        self.give(&conversation);
    }

    /// It has to be attached at a time: whatever happens, or only if its log is still broken then.
    pub(super) fn need(&mut self, conversation: &ConversationId, at: Instant, always: bool) {
        let Some(talk) = self.talks.get_mut(conversation) else {
            return;
        };
        let (at, always) = match talk.wanted {
            Some((before, really)) if before <= at => {
                talk.wanted = Some((before, really || always));
                return;
            }
            Some((_, really)) => (at, really || always),
            None => (at, always),
        };
        talk.wanted = Some((at, always));
        if at <= Instant::now() {
            self.attach_due(conversation);
        } else {
            self.timers.set(at, Due::Attach(conversation.clone()));
        }
    }

    pub(super) fn attach_due(&mut self, conversation: &ConversationId) {
        let now = Instant::now();
        if let Some(talk) = self.talks.get(conversation)
            && talk.wanted.is_some_and(|(at, _)| at <= now)
        {
            self.behind.insert(conversation.clone());
            if !talk.fetching {
                self.attaching.push_back(conversation.clone());
            }
        }
    }

    /// Attaches what is due, as far as there is room.
    pub(super) fn attach_waiting(&mut self) {
        while self.sync.is_done()
            && self.fetches < AT_ONCE
            && let Some(conversation) = self.attaching.pop_front()
        {
            self.attach(&conversation);
        }
    }

    fn attach(&mut self, conversation: &ConversationId) {
        let from_beginning = self.caught_up || self.settings.start == Start::Beginning;
        let Some(talk) = self.talks.get_mut(conversation) else {
            return;
        };
        if talk.fetching {
            return;
        }
        let Some((_, always)) = talk.wanted.take() else {
            return;
        };
        if talk.log.cursor().is_none() && from_beginning {
            talk.log.begin(Position(0));
            self.keeper
                .keep(Change::Cursor(conversation.clone(), Position(0)));
        }
        let cursor = talk.log.cursor();
        if !always && cursor.is_some() && !talk.log.is_broken() {
            // What was missing has come.
            self.behind.remove(conversation);
            return;
        }
        talk.fetching = true;
        self.fetches += 1;
        let reading = Reading::new(
            conversation.clone(),
            talk,
            self.sync.number,
            cursor.unwrap_or_default(),
            talk.log.waiting(),
        );
        let command = Command::Attach {
            conversation: conversation.clone(),
            cursor,
        };
        self.ask(command, Purpose::Attach(reading));
    }

    pub(super) fn attached(&mut self, mut reading: Reading, attached: Attached) {
        let Some(talk) = self.meant(&reading) else {
            return;
        };
        if attached.stale {
            return self.reading_later(&reading, self.settings.timing.stale);
        }
        let (mut entries, mut gap) = (attached.entries, attached.gap);
        if reading.skips || talk.log.cursor().is_none() {
            // Without a cursor the newest page is asked for, and this is what there is of it.
            let whole = gap.take().and_then(|gap| gap.before).unwrap_or_default();
            entries.retain(|entry| entry.position >= whole);
        }
        if reading.skips {
            return self.skip(reading, entries);
        }
        if talk.log.cursor().is_none() {
            // The newest page stands for what is older; what came live since must follow without a hole.
            let first = entries.first().map(|entry| entry.position);
            let live = talk.log.oldest_ahead();
            let begin = first.into_iter().chain(live).min();
            let before = begin.map_or(attached.head.unwrap_or_default(), |at| {
                Position(at.0.saturating_sub(1))
            });
            talk.log.begin(before);
            reading.after = before;
            gap = first
                .filter(|first| live.is_some_and(|live| live < *first))
                .map(|first| Gap {
                    after: before,
                    before: Some(first),
                });
            self.keeper
                .keep(Change::Cursor(reading.conversation.clone(), before));
        }
        let Some(Gap { after, before }) = gap else {
            return self.read(reading, entries, true);
        };
        reading.beyond = entries.split_off(entries.partition_point(|it| it.position <= after));
        self.take_over(&reading.conversation, reading.after, entries);
        reading.after = after;
        reading.before = before;
        self.page(reading);
    }

    pub(super) fn page(&mut self, mut reading: Reading) {
        if !self.has_room() {
            self.resting.push_back(reading);
            return;
        }
        if reading.pages >= self.settings.max_gap_pages {
            if !reading.beyond.is_empty() {
                let beyond = std::mem::take(&mut reading.beyond);
                return self.skip(reading, beyond);
            }
            reading.skips = true;
            let command = Command::Attach {
                conversation: reading.conversation.clone(),
                cursor: None,
            };
            return self.ask(command, Purpose::Attach(reading));
        }
        reading.pages += 1;
        let command = Command::History {
            conversation: reading.conversation.clone(),
            before: None,
            after: Some(reading.after),
            limit: PAGE,
        };
        self.ask(command, Purpose::Page(reading));
    }

    pub(super) fn paged(&mut self, mut reading: Reading, page: Page) {
        if self.meant(&reading).is_none() {
            return;
        }
        if page.stale {
            return self.reading_later(&reading, self.settings.timing.stale);
        }
        let last = page.entries.last().map(|entry| entry.position);
        let reached = reading
            .before
            .zip(last)
            .is_some_and(|(before, last)| last >= before);
        let goes_on = page.more && !reached && last.is_some();
        let after = reading.after;
        reading.after = last.unwrap_or(after);
        self.take_over(&reading.conversation, after, page.entries);
        if goes_on {
            self.page(reading);
        } else {
            // They follow the gap without a hole.
            let beyond = std::mem::take(&mut reading.beyond);
            self.read(reading, beyond, true);
        }
    }

    /// The gap is too wide: what is beyond it stands for the log from now on.
    fn skip(&mut self, mut reading: Reading, beyond: Vec<Entry>) {
        let Some(talk) = self.meant(&reading) else {
            return;
        };
        let after = talk.log.cursor().unwrap_or_default();
        let first = beyond.first();
        if let Some(first) =
            first.filter(|first| first.position > after && first.prev != Some(after))
        {
            let before = first.position;
            reading.after = Position(before.0.saturating_sub(1));
            talk.log.begin(reading.after);
            self.tell(Update::Skipped {
                conversation: reading.conversation.clone(),
                after,
                before,
            });
        }
        self.read(reading, beyond, true);
    }

    /// Everything after `reading.after` came, to the end if it is `whole`.
    pub(super) fn read(&mut self, reading: Reading, entries: Vec<Entry>, whole: bool) {
        self.take_over(&reading.conversation, reading.after, entries);
        let Some(talk) = self.meant(&reading).filter(|_| whole) else {
            return;
        };
        talk.log.settle(&reading.waited);
        talk.failures = 0;
        self.read_to_its_end(&reading.conversation, AGAIN);
    }

    fn take_over(&mut self, conversation: &ConversationId, after: Position, entries: Vec<Entry>) {
        if let Some(talk) = self.talks.get_mut(conversation) {
            let epoch = entries.iter().map(|entry| entry.epoch).max();
            talk.epoch = talk.epoch.max(epoch.unwrap_or_default());
            talk.log.fetched(after, entries);
        }
        self.give(conversation);
    }

    fn read_to_its_end(&mut self, conversation: &ConversationId, again: Duration) {
        let Some(talk) = self.talks.get_mut(conversation) else {
            return;
        };
        talk.fetching = false;
        self.fetches -= 1;
        if talk.log.is_broken() {
            self.need(conversation, Instant::now() + again, false);
        } else if self
            .talks
            .get(conversation)
            .is_some_and(|talk| talk.wanted.is_none())
        {
            self.behind.remove(conversation);
        }
        self.attach_due(conversation);
    }

    /// The conversation that a reading is about, if it is still meant.
    fn meant(&mut self, reading: &Reading) -> Option<&mut Talk> {
        let now = self.sync.number;
        let talk = self.talks.get_mut(&reading.conversation)?;
        (talk.life == reading.life && reading.sync == now).then_some(talk)
    }

    pub(super) fn reading_failed(&mut self, reading: &Reading, wait: Option<Duration>) {
        if self.meant(reading).is_none() {
            return;
        }
        match wait {
            Some(wait) => self.reading_later(reading, wait),
            // It is not for this user.
            None => self.leave(&reading.conversation),
        }
    }

    fn reading_later(&mut self, reading: &Reading, wait: Duration) {
        let timing = self.settings.timing;
        let Some(talk) = self.meant(reading) else {
            return;
        };
        let failures = talk.failures;
        talk.failures = failures.saturating_add(1);
        talk.fetching = false;
        // What was wanted meanwhile waits as long.
        talk.wanted = None;
        self.fetches -= 1;
        self.behind.insert(reading.conversation.clone());
        let more = backoff(
            timing.first_wait,
            timing.longest_wait,
            failures,
            &mut self.random,
        );
        let at = self.after(wait) + more;
        self.need(&reading.conversation, at, true);
    }

    /// The connection is gone: whatever is missing is found out by the next one.
    pub(super) fn stop_reading(&mut self) {
        self.timers
            .clear(|due| matches!(due, Due::Attach(_) | Due::Place(..)));
        self.fetches = 0;
        self.attaching.clear();
        self.resting.clear();
        self.behind.clear();
        for talk in self.talks.values_mut() {
            talk.fetching = false;
            talk.wanted = None;
        }
    }

    pub(super) fn is_catching_up(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Everything that the server has was fetched, once.
    pub(super) fn note_caught_up(&mut self) {
        if !self.caught_up {
            self.caught_up = true;
            self.keeper.keep(Change::CaughtUp);
        }
    }

    /// Asks for an entry that stands elsewhere than it was announced, at or below the cursor.
    pub(super) fn fetch_place(&mut self, conversation: &ConversationId, position: Position) {
        let talk = self.talks.get(conversation);
        if talk.is_none_or(|talk| !talk.elsewhere.contains(&position)) {
            return;
        }
        let command = Command::History {
            conversation: conversation.clone(),
            before: None,
            after: Some(Position(position.0.saturating_sub(1))),
            limit: 1,
        };
        self.ask(command, Purpose::Place(conversation.clone(), position));
    }

    /// Asks again for what an earlier connection did not bring.
    pub(super) fn fetch_places(&mut self) {
        let mut places = Vec::new();
        for (conversation, talk) in &self.talks {
            let elsewhere = talk.elsewhere.iter();
            places.extend(elsewhere.map(|position| (conversation.clone(), *position)));
        }
        for (conversation, position) in places {
            self.fetch_place(&conversation, position);
        }
    }

    /// It came.
    pub(super) fn placed(&mut self, conversation: &ConversationId, position: Position, page: Page) {
        if let Some(talk) = self.talks.get_mut(conversation) {
            talk.elsewhere.remove(&position);
            for entry in page.entries {
                talk.log.receive(entry);
            }
        }
        self.give(conversation);
    }

    pub(super) fn place_refused(
        &mut self,
        conversation: ConversationId,
        position: Position,
        wait: Option<Duration>,
    ) {
        match wait {
            Some(wait) => {
                let at = self.after(wait);
                self.timers.set(at, Due::Place(conversation, position));
            }
            None => {
                if let Some(talk) = self.talks.get_mut(&conversation) {
                    talk.elsewhere.remove(&position);
                }
            }
        }
    }
}
