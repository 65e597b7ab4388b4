//! What the protocol's page shows is what is read and written here.

use serde_json::Value;

use super::*;

/// The frames of the protocol's page.
fn documented() -> Vec<Value> {
    let page = include_str!("../../../docs/protocol.md");
    let mut inside = false;
    let mut frames = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```json";
        } else if inside {
            frames.push(serde_json::from_str(line).unwrap());
        }
    }
    frames
}

#[test]
fn every_documented_event_is_understood() {
    let frames = documented();
    let events: Vec<_> = frames.iter().filter(|it| it["event"].is_string()).collect();
    assert!(events.len() > 20, "{}", events.len());
    for frame in events {
        let event: Event = serde_json::from_str(&frame.to_string()).unwrap();
        assert!(!matches!(event, Event::Unknown), "{frame}");
        if let Event::Entry(entry) = event {
            assert!(!matches!(entry.body, Body::Unknown), "{frame}");
        }
    }
}

/// The reply that follows a command on the page, understood as that command's.
#[test]
fn every_documented_reply_is_understood_in_full() {
    let frames = documented();
    let mut understood = 0;
    for pair in frames.windows(2) {
        let (Some(cmd), true) = (pair[0]["cmd"].as_str(), pair[1]["ok"].is_object()) else {
            continue;
        };
        let ok = pair[1]["ok"].to_string();
        let read = |ok: &str| -> Result<(), serde_json::Error> {
            match cmd {
                "open_direct" => serde_json::from_str::<Opened>(ok).map(drop),
                "create_group" => serde_json::from_str::<Created>(ok).map(drop),
                "attach" => serde_json::from_str::<Attached>(ok).map(drop),
                "resume" => serde_json::from_str::<Resumed>(ok).map(drop),
                "history" => serde_json::from_str::<Page>(ok).map(drop),
                "conversations" => serde_json::from_str::<Listed>(ok).map(drop),
                "members" => serde_json::from_str::<Members>(ok).map(drop),
                "receipts" => serde_json::from_str::<Receipts>(ok).map(drop),
                "presence" => serde_json::from_str::<PresenceReply>(ok).map(drop),
                "blocks" => serde_json::from_str::<Users>(ok).map(drop),
                // Answered with the position of an entry, or with nothing.
                _ => return Ok(()),
            }?;
            understood += 1;
            Ok(())
        };
        let mut read = read;
        read(&ok).unwrap_or_else(|error| panic!("{cmd}: {error}: {ok}"));
    }
    assert!(understood >= 9, "{understood}");
}

#[test]
fn an_acknowledgement_and_every_refusal_are_understood() {
    let (mut acks, mut refusals) = (0, 0);
    for frame in documented() {
        if frame["ok"]["repeat"].is_boolean() {
            let ack: Ack = serde_json::from_str(&frame["ok"].to_string()).unwrap();
            assert_eq!(ack.position.0, frame["ok"]["position"].as_u64().unwrap());
            acks += 1;
        }
        let text = frame.to_string();
        let read: Frame<'_> = serde_json::from_str(&text).unwrap();
        if let Some(refusal) = read.error {
            assert_eq!(refusal.code, frame["error"]["code"].as_str().unwrap());
            assert_eq!(
                refusal.retry_after_ms,
                frame["error"]["retry_after_ms"].as_u64()
            );
            refusals += 1;
        }
    }
    assert!(acks >= 2 && refusals >= 13, "{acks} {refusals}");
}

/// Each command that the page shows, as this client writes it.
#[test]
fn every_documented_command_is_written_as_it_is_documented() {
    let frames = documented();
    let commands: Vec<_> = frames.iter().filter(|it| it["cmd"].is_string()).collect();
    let mut written = Vec::new();
    for frame in &commands {
        let cmd = frame["cmd"].as_str().unwrap();
        let command = rebuild(cmd, frame);
        let id = frame["id"].as_u64().unwrap();
        let mine: Value = serde_json::from_str(&command.frame(id).unwrap()).unwrap();
        assert_eq!(&mine, *frame);
        written.push(cmd);
    }
    assert!(written.len() >= 28, "{written:?}");
}

fn rebuild(cmd: &str, frame: &Value) -> Command {
    let read = |name: &str| frame[name].clone();
    let conversation = || serde_json::from_value(read("conversation")).unwrap();
    let user = || serde_json::from_value(read("user")).unwrap();
    let position = || serde_json::from_value(read("position")).unwrap();
    match cmd {
        "open_direct" => Command::OpenDirect { user: user() },
        "create_group" => Command::CreateGroup {
            client_id: serde_json::from_value(read("client_id")).unwrap(),
            title: serde_json::from_value(read("title")).unwrap(),
            members: serde_json::from_value(read("members")).unwrap(),
            history: serde_json::from_value(read("history")).unwrap(),
            resend: false,
        },
        "attach" => Command::Attach {
            conversation: conversation(),
            cursor: serde_json::from_value(read("cursor")).unwrap(),
        },
        "resume" => Command::Resume {
            cursors: frame["cursors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cursor| Cursor {
                    conversation: serde_json::from_value(cursor["conversation"].clone()).unwrap(),
                    cursor: serde_json::from_value(cursor["cursor"].clone()).unwrap(),
                })
                .collect(),
        },
        "history" => Command::History {
            conversation: conversation(),
            before: serde_json::from_value(read("before")).unwrap(),
            after: serde_json::from_value(read("after")).unwrap(),
            limit: serde_json::from_value(read("limit")).unwrap(),
        },
        "conversations" => Command::Conversations {
            before: None,
            limit: serde_json::from_value(read("limit")).unwrap(),
        },
        "members" => Command::Members {
            conversation: conversation(),
        },
        "receipts" => Command::Receipts {
            conversation: conversation(),
        },
        "delivered" => Command::Delivered {
            conversation: conversation(),
            position: position(),
        },
        "seen" => Command::Seen {
            conversation: conversation(),
            position: position(),
        },
        "typing" => Command::Typing {
            conversation: conversation(),
            active: serde_json::from_value(read("active")).unwrap(),
        },
        "presence" => Command::Presence {
            conversation: conversation(),
        },
        "block" => Command::Block { user: user() },
        "unblock" => Command::Unblock { user: user() },
        "blocks" => Command::Blocks,
        "ping" => Command::Ping,
        _ => Command::Append {
            conversation: conversation(),
            client_id: serde_json::from_value(read("client_id")).unwrap(),
            append: serde_json::from_value(frame.clone()).unwrap(),
            resend: frame["resend"] == true,
        },
    }
}

#[test]
fn what_a_later_version_adds_is_read_over() {
    let event: Event = serde_json::from_str(r#"{"event":"weather","is":"fine"}"#).unwrap();
    assert!(matches!(event, Event::Unknown));
    let entry = r#"{"conversation":"c","position":2,"prev":1,"epoch":0,"entry":"e","sender":"a",
        "client_id":"1","type":"poll","question":"?","new":true}"#;
    let entry: Entry = serde_json::from_str(entry).unwrap();
    assert!(matches!(entry.body, Body::Unknown));
}
