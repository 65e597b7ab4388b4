use super::*;
use crate::model::{ConversationKind, Entry, HistoryStart};
use crate::ports::Audience;
use crate::samples;

const GROUP: ConversationId = ConversationId::from_bytes([1; 16]);

fn event(position: u64, prev: Option<u64>, epoch: u64) -> LiveEvent {
    let entry = Entry {
        prev: prev.map(Position),
        epoch: Epoch(epoch),
        ..samples::entry(GROUP, position, "hello".into())
    };
    LiveEvent {
        audience: Audience::Members {
            conversation: GROUP,
            epoch: entry.epoch,
        },
        origin: None,
        event: EventBody::Entry(entry.into()).into(),
    }
}

fn members(epoch: u64) -> Members {
    Members {
        conversation: GROUP,
        kind: ConversationKind::Group,
        epoch: Epoch(epoch),
        title: String::new(),
        history: HistoryStart::Beginning,
        list: Default::default(),
    }
}

#[test]
fn what_is_held_is_released_though_the_members_are_to_be_loaded_again() {
    let (hub, instruments) = (Hub::new(GROUP, Epoch(0)), Instruments::new());
    let deliver = |position, prev, epoch| {
        hub.deliver(event(position, prev, epoch), Epoch(epoch), &instruments)
    };
    assert_eq!(deliver(10, None, 0), Followup::None);
    // 20 is lost. The members change twice while they are loaded.
    assert_eq!(deliver(30, Some(20), 30), Followup::Reload);
    assert_eq!(deliver(40, Some(30), 40), Followup::None);
    let renew = |epoch| hub.renew(&members(epoch), |_| Vec::new(), &instruments);
    let first = renew(30);
    assert!(first.releases && first.reloads);
    let second = renew(40);
    assert!(!second.reloads);
    hub.release(&instruments);
    let state = hub.state.lock();
    assert!(state.held.is_empty());
    assert_eq!(state.last, Some(Position(40)));
}
