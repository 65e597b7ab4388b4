//! A broker's live routing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use super::fixture::{Log, ended, group, next, node, user};
use crate::error::Result;
use crate::model::{Epoch, Marks, NodeId, Position, SessionId};
use crate::ports::{
    Audience, Broker, Event, EventBody, LiveEvent, LostRange, Publication, ReceiptChange, Route,
};

pub(super) type Events = BoxStream<'static, Result<Vec<LiveEvent>>>;

/// An event that is told from others by its number.
pub(super) fn numbered(number: u64) -> LiveEvent {
    let event = EventBody::Heads {
        heads: vec![(group(), Position(number))],
    };
    LiveEvent {
        audience: Audience::Users(vec![user("u")]),
        origin: None,
        event: event.into(),
    }
}

/// The number of such an event.
pub(super) fn number(event: &LiveEvent) -> u64 {
    match event.event.body() {
        EventBody::Heads { heads } => heads.first().map_or(0, |(_, position)| position.0),
        _ => 0,
    }
}

pub(super) fn to(nodes: &[&NodeId], event: LiveEvent) -> Publication {
    let nodes = nodes.iter().map(|node| (*node).clone()).collect();
    Publication {
        route: Route::Nodes(nodes),
        event,
    }
}

/// Receives until this event comes; gives the numbers of all.
pub(super) async fn numbers_up_to(events: &mut Events, last: u64) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    while !numbers.contains(&last) {
        numbers.extend(next(events).await?.iter().map(number));
    }
    Ok(numbers)
}

pub(super) async fn an_event_reaches_the_nodes_it_is_for(broker: Arc<dyn Broker>) -> Result<()> {
    let (a, b, c) = (node("a"), node("b"), node("c"));
    let mut in_a = broker.subscribe(a.clone()).await?;
    let mut in_b = broker.subscribe(b.clone()).await?;
    let mut in_c = broker.subscribe(c.clone()).await?;
    broker
        .publish(vec![to(&[&a, &b], numbered(1)), to(&[&c], numbered(2))])
        .await?;
    broker.publish(vec![to(&[&a, &b, &c], numbered(3))]).await?;
    let received = [
        numbers_up_to(&mut in_a, 3).await?,
        numbers_up_to(&mut in_b, 3).await?,
        numbers_up_to(&mut in_c, 3).await?,
    ];
    assert_eq!(received, [vec![1, 3], vec![1, 3], vec![2, 3]]);
    Ok(())
}

pub(super) async fn an_event_for_all_but_one_reaches_all_others(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let (a, b, c) = (node("a"), node("b"), node("c"));
    let mut in_a = broker.subscribe(a.clone()).await?;
    let mut in_b = broker.subscribe(b.clone()).await?;
    let mut in_c = broker.subscribe(c.clone()).await?;
    let all_but_a = Publication {
        route: Route::AllBut(a.clone()),
        event: numbered(1),
    };
    broker.publish(vec![all_but_a]).await?;
    broker.publish(vec![to(&[&a, &b, &c], numbered(2))]).await?;
    // An event for all may take another way than one for a few: wait for both.
    let mut in_others = Vec::new();
    for events in [&mut in_b, &mut in_c] {
        let mut numbers = numbers_up_to(events, 1).await?;
        if !numbers.contains(&2) {
            numbers.extend(numbers_up_to(events, 2).await?);
        }
        numbers.sort_unstable();
        in_others.push(numbers);
    }
    assert_eq!(in_others, [[1, 2], [1, 2]]);
    assert_eq!(
        numbers_up_to(&mut in_a, 2).await?,
        [2],
        "its own event came back"
    );
    Ok(())
}

pub(super) async fn an_event_arrives_as_it_was(broker: Arc<dyn Broker>) -> Result<()> {
    let log = Log::new();
    let (sender, other) = (user("sender"), user("other"));
    let entry = log.entry(1 << 50, "text with ünicode \u{1f600}");
    let marks = Marks {
        delivered: Position(7),
        seen: Position(5),
    };
    let bodies = [
        EventBody::Entry(entry.clone()),
        EventBody::Withdrawn {
            conversation: log.id,
            id: entry.id,
            position: entry.position,
            stands: Some(Position(4)),
        },
        EventBody::Receipts {
            conversation: log.id,
            changes: vec![ReceiptChange {
                user: sender.clone(),
                marks,
            }],
        },
        EventBody::Typing {
            conversation: log.id,
            user: sender.clone(),
            active: true,
        },
        EventBody::Joined {
            conversation: log.id,
        },
        EventBody::Left {
            conversation: log.id,
        },
        EventBody::Heads {
            heads: vec![(log.id, Position(3))],
        },
        EventBody::Gap {
            lost: LostRange::Conversations(vec![log.id]),
        },
        EventBody::Draining {
            reconnect_within: Duration::from_millis(1500),
        },
    ];
    let node = node("node");
    let audiences = [
        Audience::Members {
            conversation: log.id,
            epoch: Epoch(3),
        },
        Audience::Users(vec![sender.clone(), other.clone()]),
        Audience::Blocks(sender, other),
    ];
    let origin = SessionId {
        node: node.clone(),
        number: 1 << 40,
    };
    let sent = bodies
        .into_iter()
        .enumerate()
        .map(|(index, body)| LiveEvent {
            audience: audiences[index % 3].clone(),
            origin: (index % 2 == 0).then(|| origin.clone()),
            event: body.into(),
        });
    let sent: Vec<_> = sent.collect();
    let mut events = broker.subscribe(node.clone()).await?;
    broker
        .publish(
            sent.iter()
                .map(|event| to(&[&node], event.clone()))
                .collect(),
        )
        .await?;
    let mut received = Vec::new();
    while received.len() < sent.len() {
        received.extend(next(&mut events).await?);
    }
    for event in &sent {
        assert!(received.contains(event), "missing or changed: {event:?}");
    }
    Ok(())
}

pub(super) async fn an_events_encoding_is_carried_along(broker: Arc<dyn Broker>) -> Result<()> {
    let node = node("node");
    let mut events = broker.subscribe(node.clone()).await?;
    let plain = numbered(1);
    let body = plain.event.body().clone();
    let encoding = Bytes::from_static(b"bytes \0\xff of the origin");
    let event = Event::with_encoding(body, encoding.clone());
    let encoded = LiveEvent { event, ..plain };
    broker.publish(vec![to(&[&node], encoded)]).await?;
    let received = next(&mut events).await?;
    assert_eq!(received[0].event.encoding(), Some(&encoding));
    Ok(())
}

pub(super) async fn a_second_subscription_replaces_the_first(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let node = node("node");
    let mut first = broker.subscribe(node.clone()).await?;
    let mut second = broker.subscribe(node.clone()).await?;
    ended(&mut first).await?;
    broker.publish(vec![to(&[&node], numbered(1))]).await?;
    assert_eq!(numbers_up_to(&mut second, 1).await?, [1]);
    // The end of the first does not take the second with it.
    drop(first);
    broker.publish(vec![to(&[&node], numbered(2))]).await?;
    assert_eq!(numbers_up_to(&mut second, 2).await?, [2]);
    Ok(())
}

pub(super) async fn publishing_to_nobody_succeeds(broker: Arc<dyn Broker>) -> Result<()> {
    broker
        .publish(vec![to(&[&node("nobody")], numbered(1))])
        .await?;
    let all = Publication {
        route: Route::AllBut(node("sender")),
        event: numbered(2),
    };
    broker.publish(vec![all]).await
}

pub(super) async fn a_dropped_subscription_can_be_made_again(
    broker: Arc<dyn Broker>,
) -> Result<()> {
    let node = node("node");
    drop(broker.subscribe(node.clone()).await?);
    let mut events = broker.subscribe(node.clone()).await?;
    broker.publish(vec![to(&[&node], numbered(2))]).await?;
    assert!(numbers_up_to(&mut events, 2).await?.contains(&2));
    Ok(())
}
