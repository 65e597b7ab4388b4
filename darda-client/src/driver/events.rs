//! What the server says by itself.

use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use crate::updates::Update;
use crate::wire::{Event, Head};

impl Driver {
    pub(super) fn event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Entry(entry) => self.receive(entry),
            Event::Withdrawn {
                conversation,
                entry,
                position,
                stands,
            } => {
                let talk = self.talks.get_mut(&conversation);
                let elsewhere = talk.is_some_and(|it| it.log.withdraw(&entry, position, stands));
                self.give(&conversation);
                if let Some(stands) = stands.filter(|_| elsewhere) {
                    self.talk(&conversation).elsewhere.insert(stands);
                    self.fetch_place(&conversation, stands);
                }
            }
            Event::Receipts {
                conversation,
                receipts,
            } => self.tell_if_room(Update::Receipts {
                conversation,
                receipts,
            }),
            Event::Typing {
                conversation,
                user,
                active,
            } => self.tell_if_room(Update::Typing {
                conversation,
                user,
                active,
            }),
            Event::Joined { conversation } => {
                self.talk(&conversation);
                self.need(&conversation, now, true);
                self.tell(Update::Joined(conversation));
            }
            Event::Left { conversation } => self.leave(&conversation),
            Event::Heads { heads } => heads.into_iter().for_each(|head| self.head(head)),
            Event::Gap { all: true, .. } => self.start_sync(),
            Event::Gap { conversations, .. } => {
                for conversation in conversations {
                    self.talk(&conversation);
                    self.need(&conversation, now, true);
                }
            }
            Event::Draining {
                reconnect_within_ms,
            } => self.move_within(Duration::from_millis(reconnect_within_ms)),
            Event::Hello(_) | Event::Unknown => {}
        }
    }

    fn head(&mut self, head: Head) {
        let talk = self.talk(&head.conversation);
        if !talk.fetching && talk.log.newest() < Some(head.position) {
            self.need(&head.conversation, Instant::now(), true);
        }
    }
}
