//! How a client gets what it lacks: the list of its conversations, resuming with cursors, attaching,
//! and paging through a gap.
//!
//! An answer that is marked stale is not used: something may be missing from it.

use std::sync::Arc;
use std::time::Duration;

use darda_core::model::limits::{MAX_LIST_PAGE, MAX_PAGE};
use darda_core::model::{ConversationId, Entry, Position};
use darda_core::ports::Range;
use darda_core::{Attached, CatchUp, Error, Page, Result};
use tokio::time::Instant;

use crate::device::{Device, Gone, Live, Need, backoff};
use crate::history::{Reply, Request, Seen, Via, What};
use crate::view::{Arrival, View};

/// How a conversation is to go on.
enum Next {
    Done,
    /// Not now.
    Later,
}

fn done<T>(_: &T) -> Reply {
    Reply::Done
}

impl Device {
    /// Reads the list and resumes with all cursors.
    pub(crate) async fn bring_up(self: &Arc<Self>, live: &Live) -> Result<(), Gone> {
        let mut failures = 0;
        while let Err(error) = self.list_and_resume(live).await {
            tokio::time::sleep(
                error
                    .retry_after()
                    .unwrap_or_default()
                    .max(backoff(failures)),
            )
            .await;
            failures += 1;
            // A session whose node is gone never answers again.
            if error.kind() == darda_core::ErrorKind::Closed {
                return Err(Gone);
            }
        }
        Ok(())
    }

    async fn list_and_resume(self: &Arc<Self>, live: &Live) -> Result<()> {
        self.state.lock().needs_list = false;
        let listed = self
            .list(live)
            .await
            .inspect_err(|_| self.state.lock().needs_list = true)?;
        let strange: Vec<_> = {
            let state = self.state.lock();
            state
                .views
                .keys()
                .filter(|held| !listed.contains(held))
                .copied()
                .collect()
        };
        strange
            .into_iter()
            .for_each(|conversation| self.forget(conversation));
        let cursors: Vec<_> = {
            let state = self.state.lock();
            let cursor = |(conversation, view): (&ConversationId, &View)| {
                view.cursor().map(|cursor| (*conversation, cursor))
            };
            state.views.iter().filter_map(cursor).collect()
        };
        for conversation in listed {
            if cursors.iter().all(|(held, _)| *held != conversation) {
                self.need(conversation, Duration::ZERO, false);
            }
        }
        let request = Request::Other {
            what: "resume".to_owned(),
        };
        let resumed = live.session.resume(cursors.clone());
        let resumed = self.recorder.call(live.no, request, done, resumed).await;
        let resumed = resumed.inspect_err(|_| self.state.lock().needs_list = true)?;
        for (conversation, answer) in resumed {
            let cursor = cursors.iter().find(|(held, _)| *held == conversation);
            let cursor = cursor.map(|(_, cursor)| *cursor);
            let next = match answer {
                Ok(attached) => self.take_in(live, conversation, cursor, attached).await,
                Err(error) => Err(error),
            };
            self.go_on(conversation, 0, next);
        }
        Ok(())
    }

    async fn list(&self, live: &Live) -> Result<Vec<ConversationId>> {
        let mut listed = Vec::new();
        let mut before = None;
        loop {
            let request = Request::Other {
                what: "conversations".to_owned(),
            };
            let page = live.session.conversations(before, MAX_LIST_PAGE);
            let page = self.recorder.call(live.no, request, done, page).await?;
            listed.extend(page.iter().map(|summary| summary.conversation));
            before = page.last().and_then(|summary| summary.head);
            if page.len() < MAX_LIST_PAGE || before.is_none() {
                return Ok(listed);
            }
        }
    }

    /// Attaches what is due.
    pub(crate) async fn look_after(self: &Arc<Self>, live: &Live) -> Result<(), Gone> {
        loop {
            if self.state.lock().needs_list {
                self.bring_up(live).await?;
            }
            let (conversation, need) = {
                let mut state = self.state.lock();
                let now = Instant::now();
                let due = state.needs.iter().find(|(_, need)| need.due <= now);
                let Some((conversation, need)) = due.map(|(at, need)| (*at, *need)) else {
                    return Ok(());
                };
                state.needs.remove(&conversation);
                (conversation, need)
            };
            if need.anew {
                self.forget(conversation);
            }
            let next = self.attach(live, conversation).await;
            self.go_on(conversation, need.failures, next);
        }
    }

    fn go_on(&self, conversation: ConversationId, failures: u32, next: Result<Next>) {
        let wait = match next {
            Ok(Next::Done) => return,
            Ok(Next::Later) => backoff(failures),
            Err(error) if error.is_transient() => error
                .retry_after()
                .unwrap_or_default()
                .max(backoff(failures)),
            Err(_) => return self.forget(conversation),
        };
        let due = Instant::now() + wait;
        let need = Need {
            due,
            failures: failures + 1,
            anew: false,
        };
        self.state.lock().needs.entry(conversation).or_insert(need);
    }

    async fn attach(&self, live: &Live, conversation: ConversationId) -> Result<Next> {
        let cursor = {
            let mut state = self.state.lock();
            let view = state.views.get_mut(&conversation);
            // What waits now is in the answer, unless it does not stand.
            view.map(View::nothing_ahead);
            state.views.get(&conversation).and_then(View::cursor)
        };
        let attached = live.session.attach(conversation, cursor);
        let attached = self.read(live, conversation, "attach", attached).await?;
        self.take_in(live, conversation, cursor, attached).await
    }

    async fn read<T>(
        &self,
        live: &Live,
        conversation: ConversationId,
        what: &str,
        made: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let request = Request::Read {
            conversation,
            what: what.to_owned(),
        };
        self.recorder.call(live.no, request, done, made).await
    }

    async fn take_in(
        &self,
        live: &Live,
        conversation: ConversationId,
        cursor: Option<Position>,
        attached: Attached,
    ) -> Result<Next> {
        if attached.stale {
            return Ok(Next::Later);
        }
        let mut entries: Vec<(Seen, Via)> = attached
            .entries
            .iter()
            .map(|entry| (Seen::from(&**entry), Via::Attach))
            .collect();
        if let CatchUp::Gap { after, before } = attached.catch_up {
            let Some(missing) = self.gap(live, conversation, after, before).await? else {
                return Ok(Next::Later);
            };
            entries.extend(missing);
        }
        if cursor.is_none() {
            let first = entries.iter().map(|(entry, _)| entry.position).min();
            let Some(older) = self.older(live, conversation, first).await? else {
                return Ok(Next::Later);
            };
            entries.extend(older);
        }
        entries.sort_by_key(|(entry, _)| entry.position);
        let session = live.no;
        for (entry, via) in &entries {
            self.recorder.note(What::Got {
                session,
                entry: *entry,
                via: *via,
            });
        }
        let places: Vec<_> = entries
            .iter()
            .map(|(entry, _)| (entry.position, entry.id))
            .collect();
        let mut state = self.state.lock();
        let after = cursor.unwrap_or_default();
        // The conversation may have been left while this was read.
        if cursor.is_some() && !state.views.contains_key(&conversation) {
            return Ok(Next::Done);
        }
        let view = state.views.entry(conversation).or_default();
        if let Arrival::Moved { from, to } = view.caught_up(after, &places) {
            self.recorder.note(What::Moved {
                session,
                conversation,
                from,
                to,
            });
        }
        Ok(Next::Done)
    }

    /// Pages forward through a gap. `None`: an answer was stale.
    async fn gap(
        &self,
        live: &Live,
        conversation: ConversationId,
        mut after: Position,
        before: Option<Position>,
    ) -> Result<Option<Vec<(Seen, Via)>>> {
        let mut missing = Vec::new();
        loop {
            let page = self.page(live, conversation, Range::After(after)).await?;
            if page.stale {
                return Ok(None);
            }
            let inside = |entry: &&Arc<Entry>| before.is_none_or(|end| entry.position < end);
            let found = page.entries.iter().filter(inside);
            missing.extend(found.map(|entry| (Seen::from(&**entry), Via::History)));
            match page.entries.last() {
                Some(last) if page.more && before.is_none_or(|end| last.position < end) => {
                    after = last.position;
                }
                _ => return Ok(Some(missing)),
            }
        }
    }

    /// Pages back to the beginning.
    async fn older(
        &self,
        live: &Live,
        conversation: ConversationId,
        first: Option<Position>,
    ) -> Result<Option<Vec<(Seen, Via)>>> {
        let mut older = Vec::new();
        let Some(mut before) = first else {
            return Ok(Some(older));
        };
        loop {
            let page = self.page(live, conversation, Range::Before(before)).await?;
            if page.stale {
                return Ok(None);
            }
            older.extend(
                page.entries
                    .iter()
                    .map(|entry| (Seen::from(&**entry), Via::History)),
            );
            match page.entries.first() {
                Some(first) if page.more => before = first.position,
                _ => return Ok(Some(older)),
            }
        }
    }

    async fn page(&self, live: &Live, conversation: ConversationId, range: Range) -> Result<Page> {
        let page = live.session.history(conversation, range, MAX_PAGE);
        self.read(live, conversation, "history", page).await
    }

    /// Reads a whole conversation from its beginning, holding nothing.
    ///
    /// # Errors
    /// The session's.
    pub(crate) async fn read_all(&self, conversation: ConversationId) -> Result<Option<Vec<Seen>>> {
        let live = self.state.lock().live.clone();
        let Some(live) = live else {
            return Err(Error::new(darda_core::ErrorKind::Closed, "no session"));
        };
        let read = self.gap(&live, conversation, Position(0), None).await?;
        Ok(read.map(|read| read.into_iter().map(|(entry, _)| entry).collect()))
    }
}
