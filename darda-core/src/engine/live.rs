//! Events on their way to the sessions of this node.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep_until};

use super::hub::{Followup, Hub};
use super::node::{Backoff, Node};
use super::registered::{Pulse, SessionCore};
use super::wakes::wake_once;
use crate::model::{ConversationId, Epoch, Members};
use crate::ports::{Audience, EventBody, LiveEvent};

/// How long an entry waits for one before it that is on its way.
const HOLD: Duration = Duration::from_millis(50);
/// Between the lists of two sessions that are read again because live events were lost: all nodes lose
/// them at once when the broker restarts, and share one store.
const LISTS_APART: Duration = Duration::from_millis(1);
/// Loads that find no such conversation, before it is believed.
const MAX_UNKNOWN: usize = 8;

impl Node {
    /// Hands an event to those of its audience who are here.
    pub(crate) fn deliver(self: &Arc<Self>, event: LiveEvent) {
        match &event.audience {
            Audience::Members {
                conversation,
                epoch,
            } => {
                let epoch = *epoch;
                let hub = self.hubs.lock().get(conversation).cloned();
                if let Some(hub) = hub {
                    let followup = hub.deliver(event, epoch, &self.instruments);
                    self.follow_up(&hub, followup);
                }
            }
            Audience::Users(users) => {
                let sessions = users.iter().flat_map(|user| self.sessions.of(user));
                if let EventBody::Joined { conversation } = event.event.body() {
                    if sessions.count() > 0 {
                        self.reload(*conversation);
                    }
                } else {
                    sessions.for_each(|session| {
                        session.tell(event.event.clone(), &self.instruments);
                    });
                }
            }
            Audience::Blocks(a, b) => self.blocks.forget(a, b),
        }
    }

    pub(crate) fn follow_up(self: &Arc<Self>, hub: &Arc<Hub>, followup: Followup) {
        self.wake_later(hub);
        let (node, hub) = (self.clone(), hub.clone());
        match followup {
            Followup::None => {}
            Followup::Reload => self.spawn(async move { node.load_for(hub).await }),
            Followup::Release => self.spawn(async move {
                tokio::time::sleep(HOLD).await;
                hub.release(&node.instruments);
                node.wake_later(&hub);
            }),
        }
    }

    fn wake_later(self: &Arc<Self>, hub: &Arc<Hub>) {
        if let Some(at) = hub.wake_at() {
            let hub = hub.clone();
            self.spawn(async move {
                sleep_until(at).await;
                hub.wake();
            });
        }
    }

    /// Finds out anew who of a conversation's members is here.
    pub(crate) fn reload(self: &Arc<Self>, conversation: ConversationId) {
        let hub = self
            .hubs
            .lock()
            .entry(conversation)
            .or_insert_with(|| Arc::new(Hub::new(conversation, Epoch::default())))
            .clone();
        let followup = hub.start_reload();
        self.follow_up(&hub, followup);
    }

    /// Takes over members that were just loaded or made.
    pub(crate) fn renew(self: &Arc<Self>, members: &Members) {
        let hub = self
            .hubs
            .lock()
            .entry(members.conversation)
            .or_insert_with(|| Arc::new(Hub::new(members.conversation, Epoch::default())))
            .clone();
        if self.renew_hub(&hub, members) {
            self.follow_up(&hub, Followup::Reload);
        }
    }

    /// Returns whether newer members are to be loaded.
    fn renew_hub(self: &Arc<Self>, hub: &Arc<Hub>, members: &Members) -> bool {
        let mut hubs = self.hubs.lock();
        if !hubs
            .get(&hub.conversation)
            .is_some_and(|known| Arc::ptr_eq(known, hub))
        {
            return false;
        }
        let renewed = hub.renew(members, |user| self.sessions.of(user), &self.instruments);
        for session in &renewed.joined {
            session.remember(hub.conversation);
        }
        if hub.is_empty() {
            hubs.remove(&hub.conversation);
            return false;
        }
        let followup = if renewed.releases {
            Followup::Release
        } else {
            Followup::None
        };
        self.follow_up(hub, followup);
        renewed.reloads
    }

    async fn load_for(self: Arc<Self>, hub: Arc<Hub>) {
        let mut backoff = Backoff::new();
        let mut unknown = 0;
        loop {
            match self.bounded(self.load_members(hub.conversation)).await {
                Ok(Some(members)) => {
                    if !self.renew_hub(&hub, &members) {
                        return;
                    }
                }
                Ok(None) => {
                    unknown += 1;
                    if unknown > MAX_UNKNOWN {
                        return self.disband(&hub);
                    }
                }
                Err(error) => {
                    tracing::debug!(conversation = %hub.conversation, %error, "members not loaded");
                }
            }
            let known = self.hubs.lock().get(&hub.conversation).cloned();
            if !known.is_some_and(|known| Arc::ptr_eq(&known, &hub))
                || !self.pause(backoff.next()).await
            {
                return;
            }
        }
    }

    fn disband(&self, hub: &Arc<Hub>) {
        let mut hubs = self.hubs.lock();
        hub.disband(&self.instruments);
        if hubs
            .get(&hub.conversation)
            .is_some_and(|known| Arc::ptr_eq(known, hub))
        {
            hubs.remove(&hub.conversation);
        }
    }

    /// Whatever was sent while nothing came in is lost: the heads say what, and the lists of
    /// conversations who was brought in or taken out. Who blocks whom is asked for.
    fn look_back(&self) {
        self.blocks.doubt();
        let now = Instant::now();
        for (at, session) in (0..).zip(self.sessions.all()) {
            session.pulse_at(Pulse::Heads, now);
            session.pulse_at(Pulse::List, now + LISTS_APART * at);
        }
    }

    /// Takes an ended session out of everything.
    pub(crate) fn end_session(&self, session: &SessionCore) {
        let mut hubs = self.hubs.lock();
        session.queue.close();
        self.sessions.remove(session);
        for conversation in session.conversations() {
            if hubs
                .get(&conversation)
                .is_some_and(|hub| hub.unsubscribe(&session.id))
            {
                hubs.remove(&conversation);
            }
        }
        self.instruments.sessions.set(self.sessions.len() as f64);
    }
}

/// Receives what other nodes send.
pub(crate) async fn run(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    loop {
        match node
            .bounded(node.ports.broker.subscribe(node.id.clone()))
            .await
        {
            Ok(mut stream) => {
                node.look_back();
                loop {
                    let batch = tokio::select! {
                        biased;
                        () = node.stop.cancelled() => return,
                        batch = stream.next() => batch,
                    };
                    match batch {
                        Some(Ok(events)) => {
                            backoff.reset();
                            wake_once(|| {
                                events.into_iter().for_each(|event| node.deliver(event));
                            });
                        }
                        Some(Err(error)) => {
                            tracing::warn!(%error, "live events end");
                            break;
                        }
                        None => break,
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "no live events from other nodes"),
        }
        if !node.pause(backoff.next()).await {
            return;
        }
    }
}
