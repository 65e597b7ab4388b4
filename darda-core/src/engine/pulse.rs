//! What a node does now and then: it renews its lease, and tells each session the heads of its
//! conversations, so that one that is connected but deaf finds out.
//!
//! Every list is a reading of the store: with a million sessions and the usual 30 s, 35,000 a second.
//! Where only events can have been lost, the cache's heads are enough.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::node::Node;
use super::registered::{Pulse, SessionCore};
use crate::error::Result;
use crate::model::{ConversationId, Epoch, Position};
use crate::ports::{EventBody, Lease};

const TICK: Duration = Duration::from_millis(250);
/// After a pulse that failed.
const RETRY: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 16;
const REGISTER_BATCH: usize = 1000;

pub(crate) async fn renew_lease(node: Arc<Node>) {
    let every = node.ports.registry.lease() / 3;
    loop {
        let missing = match node.bounded(node.renew_lease()).await {
            Ok(Lease::Forgotten) => true,
            Ok(Lease::Held) => node.unregistered.load(Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "the node's lease is not renewed");
                // The lost answer may have been that the registry forgot: it says so once.
                node.unregistered.store(true, Ordering::Relaxed);
                false
            }
        };
        if missing {
            node.unregistered.store(false, Ordering::Relaxed);
            if let Err(error) = register_all(&node).await {
                tracing::warn!(%error, "sessions are not registered");
                node.unregistered.store(true, Ordering::Relaxed);
            }
        }
        node.tidy_rates();
        let wait = if node.unregistered.load(Ordering::Relaxed) {
            RETRY.min(every)
        } else {
            every
        };
        if !node.pause(wait).await {
            return;
        }
    }
}

async fn register_all(node: &Arc<Node>) -> Result<()> {
    for sessions in node.sessions.all().chunks(REGISTER_BATCH) {
        let batch = sessions
            .iter()
            .map(|session| (session.user.clone(), session.id.clone()))
            .collect();
        node.bounded(node.register(batch)).await?;
        // One that ended meanwhile must not stay.
        for session in sessions.iter().filter(|session| session.queue.is_closed()) {
            let _ = node
                .unregister
                .try_send((session.user.clone(), session.id.clone()));
        }
    }
    Ok(())
}

pub(crate) async fn run(node: Arc<Node>) {
    while node.pause(TICK).await {
        let now = Instant::now();
        let every = node.options.heads_every;
        let due: Vec<_> = node
            .sessions
            .all()
            .into_iter()
            .filter_map(|session| Some((session.take_pulse(now, every)?, session)))
            .collect();
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(pulse, session)| {
                let node = &node;
                async move {
                    let told = match pulse {
                        Pulse::Heads => node.bounded(tell_heads(node, &session)).await,
                        Pulse::List => node.bounded(tell_list(node, &session)).await,
                    };
                    if let Err(error) = told {
                        tracing::debug!(session = ?session.id, %error, "no pulse");
                        // What the cache does not say the store may.
                        session.pulse_at(Pulse::List, Instant::now() + RETRY);
                    }
                }
            })
            .await;
    }
}

async fn tell_heads(node: &Arc<Node>, session: &Arc<SessionCore>) -> Result<()> {
    let conversations: Vec<_> = session.conversations().into_iter().collect();
    if conversations.is_empty() {
        return Ok(());
    }
    // The epochs after the heads: who is a member by them was one when the heads were read.
    let cache = &node.ports.cache;
    let heads = cache.heads(conversations.clone()).await?;
    let epochs = cache.epochs(conversations.clone()).await?;
    let mut known = Vec::new();
    for (conversation, (head, epoch)) in
        conversations.into_iter().zip(heads.into_iter().zip(epochs))
    {
        let here = node.hubs.lock().get(&conversation).map(|hub| hub.epoch());
        match (here, epoch) {
            // A direct conversation's members never change.
            (Some(Epoch(0)), _) => known.extend(head.map(|head| (conversation, head.position))),
            (Some(here), Some(now)) if here == now => {
                known.extend(head.map(|head| (conversation, head.position)));
            }
            (_, Some(_)) => node.reload(conversation),
            // The list says it in its time.
            (_, None) => {}
        }
    }
    tell(node, session, known);
    Ok(())
}

async fn tell_list(node: &Arc<Node>, session: &Arc<SessionCore>) -> Result<()> {
    let before = session.conversations();
    let list = node.list(session).await?;
    let memberships = || list.iter().map(|(membership, _)| membership);
    node.remember_direct(&session.user, memberships());
    let current: BTreeSet<_> = memberships()
        .map(|membership| membership.conversation)
        .collect();
    for gone in before.difference(&current) {
        node.reload(*gone);
    }
    for membership in memberships() {
        let conversation = membership.conversation;
        if !before.contains(&conversation)
            && node.subscribe(
                session,
                conversation,
                membership.member.visible_from,
                membership.epoch,
            )
        {
            session.tell(EventBody::Joined { conversation }.into(), &node.instruments);
        }
    }
    let heads = list
        .into_iter()
        .filter_map(|(membership, head)| Some((membership.conversation, head?.position)));
    tell(node, session, heads.collect());
    session.list_told();
    Ok(())
}

fn tell(node: &Node, session: &SessionCore, heads: Vec<(ConversationId, Position)>) {
    if !heads.is_empty() {
        session.tell(EventBody::Heads { heads }.into(), &node.instruments);
    }
}
