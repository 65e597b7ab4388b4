//! What a client makes of what it is told: the protocol's rules for events and acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{ConversationId, EntryId, Position};
use darda_core::ports::{Event, EventBody, LostRange};

use crate::device::{Device, Live};
use crate::history::{Notice, Seen, Via, What};
use crate::view::{Arrival, View};

/// How long a client waits for the acknowledgement of an own send that may fill a gap.
const ACK_MAY_FILL: Duration = Duration::from_secs(1);

impl Device {
    pub(crate) fn heed(self: &Arc<Self>, live: &Live, event: &Event) {
        let session = live.no;
        let told = |notice| self.recorder.note(What::Told { session, notice });
        match event.body() {
            EventBody::Entry(entry) => self.arrived(live, Seen::from(&**entry), Via::Event),
            EventBody::Withdrawn {
                conversation,
                id,
                position,
                stands,
            } => {
                self.withdrawn(live, *conversation, *id, *position, *stands);
            }
            EventBody::Receipts {
                conversation,
                changes,
            } => {
                for change in changes {
                    self.recorder.note(What::Marked {
                        session,
                        conversation: *conversation,
                        user: change.user.clone(),
                        marks: change.marks,
                        asked: false,
                    });
                }
            }
            // That typing ended may be said by the clock alone.
            EventBody::Typing {
                conversation,
                user,
                active: true,
            } => {
                let (conversation, user) = (*conversation, user.clone());
                self.recorder.note(What::Typing {
                    session,
                    conversation,
                    user,
                });
            }
            EventBody::Joined { conversation } => {
                told(Notice::Joined(*conversation));
                self.need(*conversation, Duration::ZERO, true);
            }
            EventBody::Left { conversation } => {
                told(Notice::Left(*conversation));
                self.forget(*conversation);
            }
            EventBody::Heads { heads } => {
                told(Notice::Heads);
                for (conversation, head) in heads {
                    let cursor = self
                        .state
                        .lock()
                        .views
                        .get(conversation)
                        .and_then(View::cursor);
                    if cursor.is_none_or(|cursor| cursor < *head) {
                        self.need(*conversation, Duration::ZERO, false);
                    }
                }
            }
            EventBody::Gap { lost } => {
                told(Notice::Gap);
                match lost {
                    LostRange::Conversations(conversations) => conversations
                        .iter()
                        .for_each(|lost| self.need(*lost, Duration::ZERO, false)),
                    LostRange::All => self.state.lock().needs_list = true,
                }
            }
            EventBody::Draining { reconnect_within } => {
                told(Notice::Draining);
                let most = u64::try_from(reconnect_within.as_millis())
                    .unwrap_or(1000)
                    .max(1);
                let wait = Duration::from_millis(self.state.lock().rng.u64(..most));
                let device = self.clone();
                self.beside(live, async move {
                    tokio::time::sleep(wait).await;
                    device.leave();
                });
            }
            _ => {}
        }
    }

    /// An entry came by itself.
    pub(crate) fn arrived(&self, live: &Live, entry: Seen, via: Via) {
        let (session, conversation) = (live.no, entry.conversation);
        self.recorder.note(What::Got {
            session,
            entry,
            via,
        });
        let mut state = self.state.lock();
        let Some(view) = state.views.get_mut(&conversation) else {
            drop(state);
            return self.need(conversation, Duration::ZERO, false);
        };
        match view.arrived(entry.position, entry.prev, entry.id) {
            Arrival::Known => {}
            Arrival::Moved { from, to } => {
                self.recorder.note(What::Moved {
                    session,
                    conversation,
                    from,
                    to,
                });
            }
            Arrival::Behind => {
                let fills = entry.prev.is_some()
                    && state
                        .unacked
                        .values()
                        .any(|sent| sent.conversation == conversation);
                drop(state);
                self.need(
                    conversation,
                    if fills { ACK_MAY_FILL } else { Duration::ZERO },
                    false,
                );
            }
        }
    }

    fn withdrawn(
        &self,
        live: &Live,
        conversation: ConversationId,
        id: EntryId,
        position: Position,
        stands: Option<Position>,
    ) {
        self.recorder.note(What::Withdrawn {
            session: live.no,
            conversation,
            id,
            position,
        });
        let mut state = self.state.lock();
        let Some(view) = state.views.get_mut(&conversation) else {
            return;
        };
        view.withdrawn(position, id);
        // Where it stands instead may be below the cursor, where nothing is fetched any more.
        let cursor = view.cursor();
        let below = stands.is_some_and(|stands| cursor.is_some_and(|cursor| stands <= cursor));
        if below && !view.shows(id) {
            drop(state);
            self.need(conversation, Duration::ZERO, true);
        }
    }
}
