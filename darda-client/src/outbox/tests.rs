use super::*;
use crate::wire::Append;

fn item(conversation: &str, client_id: &str) -> Item {
    Item {
        conversation: conversation.into(),
        client_id: client_id.into(),
        peer: None,
        append: Append::Leave,
    }
}

fn outbox() -> Outbox {
    let mut outbox = Outbox::default();
    for (conversation, client_id) in [("a", "1"), ("b", "1"), ("a", "2")] {
        let ((stored, _), (answer, _)) = (oneshot::channel(), oneshot::channel());
        outbox.add(item(conversation, client_id), stored, answer);
    }
    outbox
}

#[test]
fn each_conversation_goes_out_in_its_own_order() {
    let mut outbox = outbox();
    let conversation = "a".into();
    let first = |outbox: &mut Outbox| {
        outbox
            .first(&"a".into())
            .map(|it| it.item.client_id.clone())
    };
    assert_eq!(first(&mut outbox), Some("1".into()));
    outbox.remove(&conversation, &"1".into()).unwrap();
    assert_eq!(first(&mut outbox), Some("2".into()));
    outbox.remove(&conversation, &"2".into()).unwrap();
    assert_eq!(first(&mut outbox), None);
    assert_eq!((outbox.len(), outbox.conversations().len()), (1, 1));
}

#[test]
fn what_an_earlier_life_left_may_have_been_sent() {
    let mut outbox = Outbox::default();
    outbox.restore(item("a", "1"));
    let waiting = outbox.first(&"a".into()).unwrap();
    assert!(waiting.kept && waiting.tried);
}

#[test]
fn after_a_lost_connection_nothing_is_under_way() {
    let mut outbox = outbox();
    let conversation = "a".into();
    outbox.first(&conversation).unwrap().commands.push(7);
    assert!(outbox.is_under_way(&conversation));
    outbox.disconnected();
    assert!(!outbox.is_under_way(&conversation));
}
