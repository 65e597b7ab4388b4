//! How a client sends: with the same client id until it is acknowledged or refused for good.

use std::sync::Arc;

use darda_core::Ack;
use darda_core::model::{Body, ClientId, ConversationId, EntryId, MemberChange};

use crate::device::{Device, Live, backoff};
use crate::history::{Reply, Request, Seen, Via};

/// Something to send until it is acknowledged or refused for good.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(crate) conversation: ConversationId,
    pub(crate) client_id: ClientId,
    pub(crate) id: EntryId,
    pub(crate) what: Content,
    /// Whether to say that it may have been sent before.
    pub(crate) resend: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Body(Body),
    Change(MemberChange),
}

impl Device {
    /// A send of this device was acknowledged: the ack stands for the event.
    pub(crate) fn acknowledged(&self, live: &Live, sending: &Sending, ack: Ack) {
        let left = matches!(sending.what, Content::Change(MemberChange::Leave));
        {
            let mut state = self.state.lock();
            state.unacked.remove(&sending.client_id);
            state.acked.push(sending.clone());
        }
        if left {
            return self.forget(sending.conversation);
        }
        let entry = Seen {
            conversation: sending.conversation,
            id: ack.id,
            position: ack.position,
            prev: ack.prev,
            epoch: None,
        };
        self.arrived(live, entry, Via::Ack);
    }

    /// Sends something until it is acknowledged, refused for good, or the session is gone.
    pub(crate) fn deliver(self: &Arc<Self>, live: &Live, name: ClientId) {
        let (device, inner) = (self.clone(), live.clone());
        self.beside(live, async move {
            let mut failures = 0;
            loop {
                let Some(sending) = device.attempt(&name) else {
                    return;
                };
                let result = device.send_once(&inner, &sending).await;
                match result {
                    Ok(ack) => return device.acknowledged(&inner, &sending, ack),
                    Err(error) if !error.is_transient() => {
                        device.state.lock().unacked.remove(&name);
                        return;
                    }
                    Err(error) => {
                        let wait = error.retry_after().unwrap_or_default();
                        tokio::time::sleep(wait.max(backoff(failures))).await;
                        failures += 1;
                    }
                }
            }
        });
    }

    /// The send as it is to be tried now; the next try says that there was one.
    fn attempt(&self, name: &ClientId) -> Option<Sending> {
        let mut state = self.state.lock();
        let sending = state.unacked.get_mut(name)?;
        let now = sending.clone();
        sending.resend = true;
        Some(now)
    }

    async fn send_once(&self, live: &Live, sending: &Sending) -> darda_core::Result<Ack> {
        let Sending {
            conversation,
            client_id,
            ..
        } = sending.clone();
        let request = Request::Send {
            conversation,
            client_id: client_id.clone(),
            id: sending.id,
            resend: sending.resend,
            change: match &sending.what {
                Content::Change(change) => Some(change.clone()),
                Content::Body(_) => None,
            },
        };
        let session = &live.session;
        let made = async {
            match sending.what.clone() {
                Content::Body(body) => {
                    let send = darda_core::SendRequest::new(conversation, client_id, body);
                    session.send(send.with_resend(sending.resend)).await
                }
                Content::Change(MemberChange::Create {
                    title,
                    members,
                    history,
                }) => session
                    .create_group(client_id, title, members, history)
                    .await
                    .map(|(_, ack)| ack),
                Content::Change(change) => {
                    session
                        .change_members(conversation, client_id, change)
                        .await
                }
            }
        };
        let reply = |ack: &Ack| {
            let Ack {
                position,
                prev,
                repeat,
                ..
            } = *ack;
            Reply::Acked {
                position,
                prev,
                repeat,
            }
        };
        self.recorder.call(live.no, request, reply, made).await
    }
}
