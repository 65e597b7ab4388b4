//! A send on its way in: checked, appended, told to those who are here, handed over.

use std::sync::Arc;

use super::node::Node;
use super::publish::To;
use super::reading::visible_from;
use super::registered::SessionCore;
use super::surface::{Ack, Pending, SendRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::model::permissions::{Action, allowed};
use crate::model::{
    Body, ConversationId, ConversationKind, Entry, EntryId, Epoch, Members, SessionId, UserId,
};
use crate::ports::{Admission, Append, Appended, Audience, EventBody, LiveEvent};

/// Attempts at an append that membership changes overtake.
const MAX_ATTEMPTS: usize = 4;

impl Node {
    pub(crate) async fn append(
        self: &Arc<Self>,
        session: &Arc<SessionCore>,
        request: SendRequest,
    ) -> Result<Pending> {
        if let Body::Members { .. } = request.body {
            return Err(Error::new(
                ErrorKind::Invalid,
                "members are changed by `change_members`",
            ));
        }
        request.body.validate()?;
        self.admit_send(session)?;
        self.instruments.sends.increment(1);
        let SendRequest {
            conversation,
            client_id,
            body,
            resend,
        } = request;
        let id = EntryId::derive(conversation, &session.user, &client_id);
        // First, since it stands even if its sender is no member any longer. The id tells it of
        // nobody else's.
        if resend && let Some(pending) = self.look_up(conversation, id).await? {
            return Ok(pending);
        }
        let (mut members, mut fresh) = self.copy_for(conversation, &session.user).await?;
        self.check_blocks(&members, &session.user).await?;
        self.check_body(&members, &session.user, &body).await?;
        // A direct conversation has one epoch: its send is not attempted again.
        let direct = members.kind == ConversationKind::Direct;
        let mut body = Some(body);
        for _ in 0..MAX_ATTEMPTS {
            let Some(said) = (if direct { body.take() } else { body.clone() }) else {
                break;
            };
            let admission = Admission::Checked {
                epoch: members.epoch,
                // A direct conversation's members never change: any copy is as good as a new one.
                fresh: fresh || direct,
            };
            let append = Append {
                conversation,
                id,
                sender: session.user.clone(),
                client_id: client_id.clone(),
                body: said,
                admission,
            };
            let appending = self.ports.cache.append(append);
            match self.foreseeing(&members, appending).await? {
                Appended::New(entry) => {
                    let ack = ack(&entry, false);
                    let body = EventBody::Entry(entry.clone());
                    let event =
                        to_members(conversation, entry.epoch, body, Some(session.id.clone()));
                    // The way to other nodes is the longest, and telling many here takes its time.
                    self.publish(event.clone(), To::Conversation(conversation));
                    let handover = self.hand_over(entry);
                    self.deliver(event);
                    return Ok(self.pending(ack, Some(handover?)));
                }
                Appended::Repeat { position, pending } => {
                    self.instruments.repeats.increment(1);
                    return Ok(match pending {
                        Some(entry) => {
                            let handover = self.hand_over(entry.clone())?;
                            self.pending(ack(&entry, true), Some(handover))
                        }
                        None => self.pending(
                            Ack {
                                id,
                                position,
                                prev: None,
                                repeat: true,
                            },
                            None,
                        ),
                    });
                }
                Appended::StaleEpoch => {
                    members = self.members_for(conversation, &session.user).await?;
                    fresh = true;
                    if let Some(body) = &body {
                        self.check_body(&members, &session.user, body).await?;
                    }
                }
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the members change too fast, send again",
        ))
    }

    /// Answers a repeat that the cache may have forgotten.
    async fn look_up(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Pending>> {
        if let Some(entry) = self.ports.cache.find(conversation, id).await? {
            self.instruments.repeats.increment(1);
            let handover = self.hand_over(entry.clone())?;
            return Ok(Some(self.pending(ack(&entry, true), Some(handover))));
        }
        let stored = self.ports.store.find(conversation, id).await?;
        Ok(stored.map(|entry| {
            self.instruments.repeats.increment(1);
            self.pending(ack(&entry, true), None)
        }))
    }

    pub(crate) fn pending(
        &self,
        ack: Ack,
        handover: Option<tokio::sync::oneshot::Receiver<Result<()>>>,
    ) -> Pending {
        Pending {
            ack,
            handover,
            timeout: self.options.request_timeout,
        }
    }

    /// Whether a member may say this now.
    async fn check_body(&self, members: &Members, user: &UserId, body: &Body) -> Result<()> {
        let role = members.get(user).map(|member| member.role);
        let action = match body.target() {
            None => Action::Participate,
            Some(target) => {
                let no_such = || Error::new(ErrorKind::NotFound, "no such message");
                let found = self.find_entry(members.conversation, target).await?;
                let target = found.ok_or_else(no_such)?;
                if !target.body.is_message() || target.position < visible_from(members, user)? {
                    return Err(no_such());
                }
                let own = target.sender == *user;
                match body {
                    Body::Edit { .. } if !matches!(target.body, Body::Message(_)) => {
                        return Err(Error::new(ErrorKind::Invalid, "only a message is edited"));
                    }
                    Body::Edit { .. } => Action::Edit { own },
                    Body::Delete { .. } => Action::Delete { own },
                    _ => Action::Participate,
                }
            }
        };
        if allowed(role, action) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Forbidden,
                "your role does not allow this",
            ))
        }
    }

    /// Tells of an entry, here and on other nodes.
    pub(crate) fn announce(self: &Arc<Self>, entry: &Arc<Entry>) {
        self.tell_members(entry, EventBody::Entry(entry.clone()), None);
    }

    /// Tells those who are members under the entry's epoch or a later one.
    pub(crate) fn tell_members(
        self: &Arc<Self>,
        entry: &Entry,
        body: EventBody,
        origin: Option<SessionId>,
    ) {
        self.tell_conversation(entry.conversation, entry.epoch, body, origin);
    }

    pub(crate) fn tell_conversation(
        self: &Arc<Self>,
        conversation: ConversationId,
        epoch: Epoch,
        body: EventBody,
        origin: Option<SessionId>,
    ) {
        let event = to_members(conversation, epoch, body, origin);
        self.publish(event.clone(), To::Conversation(conversation));
        self.deliver(event);
    }
}

fn to_members(
    conversation: ConversationId,
    epoch: Epoch,
    body: EventBody,
    origin: Option<SessionId>,
) -> LiveEvent {
    let audience = Audience::Members {
        conversation,
        epoch,
    };
    LiveEvent {
        audience,
        origin,
        event: body.into(),
    }
}

pub(crate) fn ack(entry: &Entry, repeat: bool) -> Ack {
    Ack {
        id: entry.id,
        position: entry.position,
        prev: entry.prev,
        repeat,
    }
}
