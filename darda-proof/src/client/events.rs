//! What a client makes of what comes by itself.

use std::time::Duration;

use darda_core::model::{ConversationId, EntryId, Marks, Position};
use darda_sim::history::{Notice, Request, Seen, Via, What};
use serde_json::json;
use tokio::time::Instant;

use super::calls::Purpose;
use super::copy::Took;
use super::state::State;
use crate::wire::{Entry, Event, Failure, Frame, Opened, Page, Receipt, Receipts};

/// How long the reply to an own send is awaited that may fill a gap.
const ACK_MAY_FILL: Duration = Duration::from_secs(1);

impl From<&Entry> for Seen {
    fn from(entry: &Entry) -> Self {
        Self {
            conversation: entry.conversation,
            id: entry.entry,
            position: entry.position,
            prev: entry.prev,
            epoch: Some(entry.epoch),
        }
    }
}

impl State {
    /// A frame came. `false`: it is not one.
    pub(super) fn frame(&mut self, text: &str) -> bool {
        self.heard();
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(text) else {
            return false;
        };
        if frame.event.is_some() {
            let Ok(event) = serde_json::from_str(text) else {
                return false;
            };
            self.event(event);
        } else if let Some(id) = frame.id {
            match (frame.ok, frame.error) {
                (Some(ok), None) => self.answered(id, Ok(ok)),
                (None, Some(failure)) => self.answered(id, Err(failure)),
                _ => return false,
            }
        } else {
            return false;
        }
        true
    }

    fn told(&self, notice: Notice) {
        let session = self.session();
        self.recorder.note(What::Told { session, notice });
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Hello { node, heartbeat_ms } => {
                self.connected(node, Duration::from_millis(heartbeat_ms));
            }
            Event::Entry(entry) => self.arrived(Seen::from(&entry), Via::Event),
            Event::Withdrawn {
                conversation,
                entry,
                position,
                stands,
            } => self.withdrawn(conversation, entry, position, stands),
            Event::Receipts {
                conversation,
                receipts,
            } => self.marked(conversation, &receipts, false),
            Event::Typing {
                conversation,
                user,
                active: true,
            } => self.recorder.note(What::Typing {
                session: self.session(),
                conversation,
                user,
            }),
            Event::Joined { conversation } => {
                self.told(Notice::Joined(conversation));
                // What was held from an earlier time as a member does not count any longer.
                self.forget(conversation);
                self.need(conversation, Duration::ZERO);
            }
            Event::Left { conversation } => {
                self.told(Notice::Left(conversation));
                self.forget(conversation);
            }
            Event::Heads { heads } => {
                self.told(Notice::Heads);
                for head in heads {
                    let talk = self.talks.get(&head.conversation);
                    let fetching = talk.is_some_and(|talk| talk.fetching);
                    let cursor = talk.and_then(|talk| talk.copy.cursor());
                    if !fetching && cursor.is_none_or(|cursor| cursor < head.position) {
                        self.need(head.conversation, Duration::ZERO);
                    }
                }
            }
            Event::Gap { conversations, all } => {
                self.told(Notice::Gap);
                if all {
                    self.list_due = Some(Instant::now());
                }
                for conversation in conversations {
                    self.need(conversation, Duration::ZERO);
                }
            }
            Event::Draining {
                reconnect_within_ms,
            } => {
                self.told(Notice::Draining);
                let within = Duration::from_millis(self.rng.u64(..reconnect_within_ms.max(1)));
                self.leave_at = Some(Instant::now() + within);
            }
            // That typing ended may be said by the clock alone.
            Event::Typing { .. } | Event::Unknown => {}
        }
    }

    /// An entry came by itself.
    pub(super) fn arrived(&mut self, entry: Seen, via: Via) {
        let (session, conversation) = (self.session(), entry.conversation);
        self.recorder.note(What::Got {
            session,
            entry,
            via,
        });
        let Some(talk) = self.talks.get_mut(&conversation) else {
            return self.need(conversation, Duration::ZERO);
        };
        match talk.copy.take(entry.position, entry.prev, entry.id) {
            Took::Placed => {}
            Took::Moved { from, to } => self.note_moved(conversation, from, to),
            // What is under way brings it, or is followed by another attach.
            Took::Gap if talk.fetching || talk.due.is_some() => {}
            Took::Gap => {
                let mut own = self.sends.values();
                let fills = entry.prev.is_some()
                    && own.any(|it| it.conversation == conversation && it.tried.is_some());
                let wait = if fills { ACK_MAY_FILL } else { Duration::ZERO };
                self.need(conversation, wait);
            }
        }
        self.probes.seen(conversation, entry.id, &self.user);
    }

    pub(super) fn note_moved(&self, conversation: ConversationId, from: Position, to: Position) {
        self.recorder.note(What::Moved {
            session: self.session(),
            conversation,
            from,
            to,
        });
    }

    fn withdrawn(
        &mut self,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
        stands: Option<Position>,
    ) {
        self.recorder.note(What::Withdrawn {
            session: self.session(),
            conversation,
            id,
            position,
        });
        let Some(talk) = self.talks.get_mut(&conversation) else {
            return;
        };
        talk.copy.withdrawn(position, id);
        let cursor = talk.copy.cursor();
        let Some(stands) = stands.filter(|at| cursor.is_some_and(|cursor| *at <= cursor)) else {
            return;
        };
        if !talk.copy.holds(stands, id) {
            let request = Request::Read {
                conversation,
                what: "history".to_owned(),
            };
            let fields = json!({
                "conversation": conversation, "after": stands.0.saturating_sub(1), "limit": 1
            });
            self.ask("history", fields, request, Purpose::Moved(conversation));
        }
    }

    /// Where a withdrawn entry stands instead.
    pub(super) fn moved(&mut self, conversation: ConversationId, answer: Result<Page, Failure>) {
        match answer {
            Ok(page) => {
                for entry in &page.entries {
                    self.arrived(Seen::from(entry), Via::History);
                }
            }
            // It is read with everything else.
            Err(failure) if failure.retry_after_ms.is_some() => {
                self.forget(conversation);
                self.need(conversation, Duration::from_secs(1));
            }
            Err(_) => {}
        }
    }

    fn marked(&self, conversation: ConversationId, receipts: &[Receipt], asked: bool) {
        for receipt in receipts {
            self.recorder.note(What::Marked {
                session: self.session(),
                conversation,
                user: receipt.user.clone(),
                marks: Marks {
                    delivered: receipt.delivered,
                    seen: receipt.seen,
                },
                asked,
            });
        }
    }

    pub(super) fn receipts_read(
        &mut self,
        conversation: ConversationId,
        answer: Result<Receipts, Failure>,
    ) {
        if let Ok(read) = answer {
            self.marked(conversation, &read.receipts, true);
        }
    }

    pub(super) fn glanced(&mut self, answer: Result<Page, Failure>) {
        let session = self.session();
        for entry in answer.iter().flat_map(|page| &page.entries) {
            let entry = Seen::from(entry);
            let via = Via::Glance;
            self.recorder.note(What::Got {
                session,
                entry,
                via,
            });
        }
    }

    pub(super) fn opened(&mut self, answer: Result<Opened, Failure>) {
        if let Ok(opened) = answer {
            self.need(opened.conversation, Duration::ZERO);
        }
    }
}

/// The hello, if this is one.
pub(super) fn is_hello(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Event::Hello { .. }))
}
