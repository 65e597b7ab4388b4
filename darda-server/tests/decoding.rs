//! The decoder of commands: a stable code for whatever is wrong, and never a panic.

#![expect(clippy::panic, reason = "a test fails by panicking")]

#[path = "support/frames.rs"]
mod frames;

use darda_core::model::{
    Body, ClientId, ConversationId, EntryId, Message, Position, UserId, limits,
};
use darda_core::ports::Range;
use darda_server::Code;
use darda_server::wire::{self, Command, DecodeError, MAX_SAFE_INTEGER, decode};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONVERSATION: &str = "bYTbgWwmaogeD56llN3YTg";

fn code(text: &str) -> (Option<u64>, Code) {
    match decode(text) {
        Ok(request) => panic!("{text} was taken for {:?}", request.command),
        Err(DecodeError { id, failure }) => (id, failure.code),
    }
}

#[test]
fn what_is_no_command_is_malformed_and_keeps_a_readable_id() {
    let over = MAX_SAFE_INTEGER + 1;
    for (text, id) in [
        ("", None),
        ("hello", None),
        ("{", None),
        ("null", None),
        ("7", None),
        ("\"ping\"", None),
        (r#"{"id":"7","cmd":"ping"}"#, None),
        (r#"{"id":-7,"cmd":"ping"}"#, None),
        (r#"{"id":7.5,"cmd":"ping"}"#, None),
        (&format!(r#"{{"id":{over},"cmd":"ping"}}"#), None),
        (r#"{"cmd":"ping"}"#, None),
        (r#"{"id":7}"#, Some(7)),
        (r#"{"id":7,"cmd":7}"#, Some(7)),
        (r#"{"id":7,"cmd":"ping"} {"id":8,"cmd":"ping"}"#, None),
        (r#"{"id":7,"cmd":"ping""#, None),
        (&"[".repeat(100_000), None),
        (
            &format!(r#"{{"id":7,"cmd":"ping","x":{}}}"#, "[".repeat(100_000)),
            None,
        ),
    ] {
        let shown: String = text.chars().take(60).collect();
        assert_eq!(code(text), (id, Code::Malformed), "{shown}");
    }
}

#[test]
fn an_unknown_command_is_told_apart() {
    for cmd in ["", "Send", "send ", "drop_table"] {
        let text = json!({"id": 7, "cmd": cmd}).to_string();
        assert_eq!(code(&text), (Some(7), Code::UnknownCommand), "{cmd}");
    }
}

#[test]
fn unknown_fields_are_ignored_in_every_command() {
    for frame in frames::commands() {
        let mut value: Value = serde_json::from_str(&frame.json).unwrap();
        value["from_the_future"] = json!({"a": [1, null, {"b": "c"}]});
        assert!(decode(&value.to_string()).is_ok(), "{}", frame.name);
    }
}

/// Every field of every command, in turn absent or of each wrong type.
#[test]
fn a_missing_or_wrong_field_of_any_command_is_invalid() {
    let optional = [
        "reply_to", "mentions", "metadata", "resend", "history", "cursor", "before", "after",
        "limit",
    ];
    for frame in frames::commands() {
        let whole: Value = serde_json::from_str(&frame.json).unwrap();
        let fields: Vec<_> = whole.as_object().unwrap().keys().cloned().collect();
        for field in fields
            .iter()
            .filter(|field| !["id", "cmd"].contains(&field.as_str()))
        {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(field);
            match decode(&without.to_string()) {
                Ok(_) => assert!(
                    optional.contains(&field.as_str()),
                    "{}: {field}",
                    frame.name
                ),
                Err(error) => assert_eq!(error.failure.code, Code::Invalid, "{}", frame.name),
            }
            let wrong = [
                json!(true),
                json!(-1),
                json!(1.5),
                json!("?"),
                json!([[]]),
                json!({"a": 1}),
            ];
            for wrong in wrong {
                let fits = match field.as_str() {
                    "metadata" => wrong.is_object(),
                    "active" | "resend" => wrong.is_boolean(),
                    field => wrong.is_string() && is_free_text(field),
                };
                if fits {
                    continue;
                }
                let mut bent = whole.clone();
                bent[field] = wrong.clone();
                let text = bent.to_string();
                assert_eq!(code(&text), (whole["id"].as_u64(), Code::Invalid), "{text}");
            }
        }
    }
}

fn is_free_text(field: &str) -> bool {
    ["text", "client_id", "title", "reaction", "user"].contains(&field)
}

#[test]
fn values_that_cannot_be_have_a_stable_code() {
    let send = |field: &str, value: Value| {
        let mut send = json!({"id": 7, "cmd": "send", "conversation": CONVERSATION,
            "client_id": "1", "text": "x"});
        send[field] = value;
        send.to_string()
    };
    let of = |cmd: &str, field: &str, value: Value| {
        let mut command = json!({"id": 7, "cmd": cmd, "conversation": CONVERSATION});
        command[field] = value;
        command.to_string()
    };
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        serde_json::from_str::<Value>(&format!(r#"{{"a":{open}{close}}}"#)).unwrap()
    };
    let users = |count: usize| {
        (0..count)
            .map(|it| json!(it.to_string()))
            .collect::<Value>()
    };
    let cursor = json!({"conversation": CONVERSATION, "cursor": 0});
    for (text, expected) in [
        (send("conversation", json!("")), Code::Invalid),
        (
            send("conversation", json!("bYTbgWwmaogeD56llN3YT")),
            Code::Invalid,
        ),
        (
            send("conversation", json!("bYTbgWwmaogeD56llN3YTg=")),
            Code::Invalid,
        ),
        (
            send("conversation", json!("bYTbgWwmaogeD56llN3Y+/")),
            Code::Invalid,
        ),
        (send("client_id", json!("")), Code::Invalid),
        (send("client_id", json!("x".repeat(65))), Code::Invalid),
        (send("client_id", json!("a\u{0}b")), Code::Invalid),
        (send("reply_to", json!("nothing")), Code::Invalid),
        (
            send("mentions", users(limits::MAX_MENTIONS + 1)),
            Code::TooLarge,
        ),
        (send("mentions", json!([""])), Code::Invalid),
        (send("metadata", json!([])), Code::Invalid),
        (
            send("metadata", deep(wire::MAX_METADATA_DEPTH + 1)),
            Code::Invalid,
        ),
        (of("attach", "cursor", json!(-1)), Code::Invalid),
        (
            of("attach", "cursor", json!(MAX_SAFE_INTEGER + 1)),
            Code::Invalid,
        ),
        (of("attach", "cursor", json!(1.5)), Code::Invalid),
        (of("attach", "cursor", json!("1")), Code::Invalid),
        (of("history", "before", json!(-1)), Code::Invalid),
        (of("history", "after", json!(u64::MAX)), Code::Invalid),
        (of("history", "limit", json!(0)), Code::Invalid),
        (of("history", "limit", json!(-5)), Code::Invalid),
        (of("seen", "position", json!(-1)), Code::Invalid),
        (of("delivered", "position", json!(1e300)), Code::Invalid),
        (
            json!({"id": 7, "cmd": "conversations", "limit": 0}).to_string(),
            Code::Invalid,
        ),
        (
            json!({"id": 7, "cmd": "open_direct", "user": "x".repeat(65)}).to_string(),
            Code::Invalid,
        ),
        (
            json!({"id": 7, "cmd": "create_group", "client_id": "1", "title": "t",
                "members": users(limits::MAX_MEMBERS_PER_CHANGE + 1)})
            .to_string(),
            Code::TooLarge,
        ),
        (
            json!({"id": 7, "cmd": "create_group", "client_id": "1", "title": "t", "members": [],
                "history": "never"})
            .to_string(),
            Code::Invalid,
        ),
        (
            json!({"id": 7, "cmd": "resume", "cursors": vec![cursor; limits::MAX_RESUME + 1]})
                .to_string(),
            Code::TooLarge,
        ),
        (
            json!({"id": 7, "cmd": "set_role", "conversation": CONVERSATION, "client_id": "1",
                "user": "bob", "role": "king"})
            .to_string(),
            Code::Invalid,
        ),
        (
            json!({"id": 7, "cmd": "send_opaque", "conversation": CONVERSATION, "client_id": "1",
                "payload": "not base64!"})
            .to_string(),
            Code::Invalid,
        ),
    ] {
        assert_eq!(code(&text), (Some(7), expected), "{text}");
    }
    assert!(decode(&send("metadata", deep(wire::MAX_METADATA_DEPTH))).is_ok());
}

#[test]
fn absurd_limits_are_cut_and_both_directions_at_once_are_refused() {
    let history = |fields: &str| {
        decode(&format!(
            r#"{{"id":7,"cmd":"history","conversation":"{CONVERSATION}"{fields}}}"#
        ))
    };
    let Ok(Command::History { range, limit, .. }) = history("").map(|it| it.command) else {
        panic!("no history");
    };
    assert_eq!((range, limit), (Range::NEWEST, limits::DEFAULT_PAGE));
    let Ok(Command::History { range, limit, .. }) =
        history(r#","after":5,"limit":18446744073709551615"#).map(|it| it.command)
    else {
        panic!("no history");
    };
    assert_eq!(
        (range, limit),
        (Range::After(Position(5)), limits::MAX_PAGE)
    );
    assert_eq!(
        history(r#","after":5,"before":6"#)
            .unwrap_err()
            .failure
            .code,
        Code::Invalid
    );
}

#[test]
fn the_largest_legal_commands_fit_into_a_frame() {
    let opaque = json!({"id": MAX_SAFE_INTEGER, "cmd": "send_opaque", "conversation": CONVERSATION,
        "client_id": "x".repeat(64), "payload": "A".repeat(limits::MAX_OPAQUE_BYTES.div_ceil(3) * 4)});
    let cursor = json!({"conversation": CONVERSATION, "cursor": MAX_SAFE_INTEGER});
    let resume = json!({"id": MAX_SAFE_INTEGER, "cmd": "resume",
        "cursors": vec![cursor; limits::MAX_RESUME]});
    for command in [opaque, resume] {
        assert!(command.to_string().len() <= wire::MAX_FRAME_BYTES);
    }
}

#[test]
fn an_error_quotes_little_of_what_was_sent() {
    let long = format!(
        r#"{{"id":7,"cmd":"set_role","conversation":"{CONVERSATION}",
        "client_id":"1","user":"bob","role":"{}"}}"#,
        "é".repeat(10_000)
    );
    assert!(decode(&long).unwrap_err().failure.message.len() < 300);
}

fn text_id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9éß👍 _-]{1,12}"
}

proptest! {
    #[test]
    fn no_text_makes_the_decoder_panic(text in any::<String>()) {
        let _ = decode(&text);
    }

    #[test]
    fn no_command_with_any_fields_makes_the_decoder_panic(
        which in any::<prop::sample::Index>(),
        field in any::<prop::sample::Index>(),
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            any::<Vec<String>>().prop_map(Value::from),
            Just(Value::Null),
        ],
    ) {
        let commands = frames::commands();
        let mut command: Value = serde_json::from_str(&which.get(&commands).json).unwrap();
        let fields: Vec<_> = command.as_object().unwrap().keys().cloned().collect();
        command[field.get(&fields)] = value;
        if let Err(error) = decode(&command.to_string()) {
            prop_assert!(error.failure.message.len() < 400);
        }
    }

    #[test]
    fn a_message_that_was_sent_reads_back_as_it_was(
        id in 0..=MAX_SAFE_INTEGER,
        conversation: [u8; 16],
        client_id in text_id(),
        text in any::<String>(),
        reply_to: Option<[u8; 16]>,
        mentions in prop::collection::vec(text_id(), 0..5),
        metadata in prop::option::of(prop::collection::btree_map(any::<String>(), any::<i32>(), 0..5)),
        resend: bool,
    ) {
        let mut message = Message::text(text.clone())
            .with_mentions(mentions.iter().map(|user| UserId::new(user).unwrap()));
        let conversation = ConversationId::from_bytes(conversation);
        let mut command = json!({"id": id, "cmd": "send", "conversation": conversation.to_string(),
            "client_id": client_id, "text": text, "mentions": mentions, "resend": resend});
        if let Some(target) = reply_to.map(EntryId::from_bytes) {
            command["reply_to"] = json!(target.to_string());
            message = message.with_reply_to(target);
        }
        if let Some(metadata) = metadata {
            command["metadata"] = json!(metadata);
            message = message.with_metadata(command["metadata"].to_string());
        }
        let request = decode(&command.to_string()).unwrap();
        prop_assert_eq!(request.id, id);
        let Command::Append(send) = request.command else { panic!("no send") };
        prop_assert_eq!(send.conversation, conversation);
        prop_assert_eq!(send.client_id, ClientId::new(client_id).unwrap());
        prop_assert_eq!(send.resend, resend);
        prop_assert_eq!(send.body, Body::Message(message));
    }
}
