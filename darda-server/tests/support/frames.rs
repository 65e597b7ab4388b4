//! One example of every frame there is. They are the snapshots, and `docs/protocol.md` holds each of
//! them word for word.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by tests, each of which needs a part"
)]

use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{
    Body, ClientId, ConversationId, ConversationKind, Entry, EntryId, Epoch, HistoryStart, Marks,
    Member, MemberChange, Members, Message, Position, Role, UserId,
};
use darda_core::ports::{EventBody, LostRange, Presence, ReceiptChange};
use darda_core::{Ack, Attached, CatchUp, ConversationSummary, Error, ErrorKind, Page, Unread};
use darda_server::wire::{
    self, AckView, AttachedView, BlocksView, ConversationsView, Empty, GroupCreatedView, Hello,
    HelloLimits, MembersView, OpenedView, PageView, PresenceListView, ReceiptsView, ResumedView,
};
use darda_server::{Code, Failure};
use serde::Serialize;

/// When the examples' conversation began.
const START: u64 = 1_764_000_000_000_000;

pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) json: String,
}

fn frame(name: impl Into<String>, json: impl Into<String>) -> Frame {
    Frame {
        name: name.into(),
        json: json.into(),
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

fn direct() -> ConversationId {
    ConversationId::direct(&user("alice"), &user("bob"))
}

fn group() -> ConversationId {
    ConversationId::group(&user("alice"), &client("d1-7"))
}

fn hello_entry() -> EntryId {
    EntryId::derive(direct(), &user("alice"), &client("d1-1"))
}

fn at(step: u64) -> Position {
    Position(START + step * 1_000_000)
}

pub(crate) fn all() -> Vec<Frame> {
    let mut frames = commands();
    frames.extend(replies());
    frames.extend(events());
    frames.extend(errors());
    frames
}

pub(crate) fn commands() -> Vec<Frame> {
    let (d, g, e) = (direct(), group(), hello_entry());
    let (p0, p1) = (at(0), at(1));
    let command = |name: &str, fields: String| {
        let comma = if fields.is_empty() { "" } else { "," };
        frame(
            format!("command-{name}"),
            format!("{{\"id\":7,\"cmd\":\"{name}\"{comma}{fields}}}"),
        )
    };
    let mut all = vec![
        command(
            "send",
            format!(r#""conversation":"{d}","client_id":"d1-1","text":"hello""#),
        ),
        command(
            "send_opaque",
            format!(r#""conversation":"{d}","client_id":"d1-2","payload":"AAECAw==""#),
        ),
        command(
            "edit",
            format!(
                r#""conversation":"{d}","client_id":"d1-3","target":"{e}","text":"hello, Bob""#
            ),
        ),
        command(
            "delete",
            format!(r#""conversation":"{d}","client_id":"d1-4","target":"{e}""#),
        ),
        command(
            "react",
            format!(r#""conversation":"{d}","client_id":"d1-5","target":"{e}","reaction":"👍""#),
        ),
        command(
            "unreact",
            format!(r#""conversation":"{d}","client_id":"d1-6","target":"{e}","reaction":"👍""#),
        ),
        command("open_direct", r#""user":"bob""#.into()),
        command(
            "create_group",
            r#""client_id":"d1-7","title":"Walkers","members":["bob","carol"],"history":"joining""#
                .into(),
        ),
        command(
            "rename",
            format!(r#""conversation":"{g}","client_id":"d1-8","title":"Hikers""#),
        ),
        command(
            "add",
            format!(r#""conversation":"{g}","client_id":"d1-9","users":["dave"]"#),
        ),
        command(
            "remove",
            format!(r#""conversation":"{g}","client_id":"d1-10","user":"dave""#),
        ),
        command(
            "leave",
            format!(r#""conversation":"{g}","client_id":"d1-11""#),
        ),
        command(
            "set_role",
            format!(r#""conversation":"{g}","client_id":"d1-12","user":"bob","role":"admin""#),
        ),
        command("attach", format!(r#""conversation":"{d}","cursor":{p0}"#)),
        command(
            "resume",
            format!(r#""cursors":[{{"conversation":"{d}","cursor":{p0}}}]"#),
        ),
        command(
            "history",
            format!(r#""conversation":"{d}","before":{p1},"limit":50"#),
        ),
        command("conversations", r#""limit":50"#.into()),
        command("members", format!(r#""conversation":"{g}""#)),
        command("receipts", format!(r#""conversation":"{d}""#)),
        command(
            "delivered",
            format!(r#""conversation":"{d}","position":{p1}"#),
        ),
        command("seen", format!(r#""conversation":"{d}","position":{p1}"#)),
        command("typing", format!(r#""conversation":"{d}","active":true"#)),
        command("presence", format!(r#""conversation":"{d}""#)),
        command("block", r#""user":"mallory""#.into()),
        command("unblock", r#""user":"mallory""#.into()),
        command("blocks", String::new()),
        command("ping", String::new()),
    ];
    all.push(frame(
        "command-send-full",
        format!(
            r#"{{"id":8,"cmd":"send","conversation":"{d}","client_id":"d1-13","text":"see above","reply_to":"{e}","mentions":["bob"],"metadata":{{"colour":"blue"}},"resend":true}}"#
        ),
    ));
    all
}

fn ok<T: Serialize + ?Sized>(name: &str, value: &T) -> Frame {
    let mut out = Vec::new();
    wire::ok(&mut out, 7, value);
    frame(format!("reply-{name}"), String::from_utf8(out).unwrap())
}

fn ack() -> Ack {
    Ack {
        id: hello_entry(),
        position: at(1),
        prev: Some(at(0)),
        repeat: false,
    }
}

fn message(step: u64, client_id: &str, body: impl Into<Body>) -> Arc<Entry> {
    let (sender, client_id) = (user("alice"), client(client_id));
    Arc::new(Entry {
        conversation: direct(),
        position: at(step),
        prev: Some(at(step - 1)),
        epoch: Epoch(0),
        id: EntryId::derive(direct(), &sender, &client_id),
        sender,
        client_id,
        body: body.into(),
        incarnation: 0,
        relocated: false,
    })
}

fn change(change: MemberChange) -> Arc<Entry> {
    let (sender, client_id) = (user("alice"), client("d1-7"));
    let created = matches!(change, MemberChange::Create { .. });
    Arc::new(Entry {
        conversation: group(),
        position: at(2),
        prev: if created { None } else { Some(at(1)) },
        epoch: Epoch(at(2).0),
        id: EntryId::derive(group(), &sender, &client_id),
        sender,
        client_id,
        body: Body::Members {
            base: Epoch(0),
            change,
        },
        incarnation: 0,
        relocated: false,
    })
}

pub(crate) fn replies() -> Vec<Frame> {
    let entries = vec![message(1, "d1-1", "hello")];
    let attached = Attached {
        entries: entries.clone(),
        catch_up: CatchUp::Complete,
        head: Some(at(1)),
        stale: false,
    };
    let gap = Attached {
        catch_up: CatchUp::Gap {
            after: at(0),
            before: Some(at(1)),
        },
        stale: true,
        ..attached.clone()
    };
    let lost = Error::new(ErrorKind::NotFound, "no such conversation");
    let resumed = vec![(direct(), Ok(attached.clone())), (group(), Err(lost))];
    let page = Page {
        entries: entries.clone(),
        more: true,
        stale: false,
    };
    let summary = ConversationSummary {
        conversation: direct(),
        kind: ConversationKind::Direct,
        title: String::new(),
        peer: Some(user("bob")),
        role: Role::Member,
        head: Some(at(1)),
        last_message: Some(entries[0].clone()),
        marks: Marks {
            delivered: at(1),
            seen: at(0),
        },
        unread: Unread {
            count: 1,
            more: false,
        },
    };
    let empty_group = ConversationSummary {
        conversation: group(),
        kind: ConversationKind::Group,
        title: "Walkers".into(),
        peer: None,
        role: Role::Owner,
        head: None,
        last_message: None,
        marks: Marks::default(),
        unread: Unread {
            count: 100,
            more: true,
        },
    };
    let member = |role| Member {
        role,
        since: Epoch(at(2).0),
        visible_from: Position(0),
    };
    let members = Members {
        conversation: group(),
        kind: ConversationKind::Group,
        epoch: Epoch(at(2).0),
        title: "Walkers".into(),
        history: HistoryStart::Joining,
        list: [
            (user("alice"), member(Role::Owner)),
            (user("bob"), member(Role::Admin)),
            (user("carol"), member(Role::Member)),
        ]
        .into(),
    };
    let marks = vec![
        (
            user("alice"),
            Marks {
                delivered: at(1),
                seen: at(1),
            },
        ),
        (
            user("bob"),
            Marks {
                delivered: at(1),
                seen: at(0),
            },
        ),
    ];
    let presence = vec![
        (user("bob"), Presence::Online),
        (
            user("carol"),
            Presence::Offline {
                last_seen_ms: Some(START / 1000),
            },
        ),
        (user("dave"), Presence::Offline { last_seen_ms: None }),
    ];
    vec![
        ok("ack", &AckView::from(ack())),
        ok(
            "open_direct",
            &OpenedView {
                conversation: direct(),
            },
        ),
        ok(
            "create_group",
            &GroupCreatedView {
                conversation: group(),
                ack: Ack {
                    prev: None,
                    ..ack()
                }
                .into(),
            },
        ),
        ok("attach", &AttachedView::from(&attached)),
        ok("attach-gap", &AttachedView::from(&gap)),
        ok("resume", &ResumedView::from(resumed.as_slice())),
        ok("history", &PageView::from(&page)),
        ok(
            "conversations",
            &ConversationsView::from([summary, empty_group].as_slice()),
        ),
        ok("members", &MembersView::from(&members)),
        ok("receipts", &ReceiptsView::from(marks.as_slice())),
        ok("presence", &PresenceListView::from(presence.as_slice())),
        ok("blocks", &BlocksView::from(vec![user("mallory")])),
        ok("empty", &Empty {}),
    ]
}

fn event(name: &str, body: &EventBody) -> Frame {
    let bytes = wire::encode_event(body);
    frame(
        format!("event-{name}"),
        String::from_utf8(bytes.to_vec()).unwrap(),
    )
}

pub(crate) fn events() -> Vec<Frame> {
    let entry = |name: &str, entry: Arc<Entry>| event(name, &EventBody::Entry(entry));
    let target = hello_entry();
    let full = Message::text("see above")
        .with_reply_to(target)
        .with_mentions([user("bob")])
        .with_metadata(r#"{"colour":"blue"}"#);
    let hello = Hello {
        user: "alice",
        session: "node-1/42",
        node: "node-1",
        heartbeat_ms: 25_000,
        limits: HelloLimits::default(),
    };
    vec![
        frame("event-hello", serde_json::to_string(&hello).unwrap()),
        entry("entry", message(1, "d1-1", "hello")),
        entry("entry-full", message(2, "d1-13", full)),
        entry(
            "entry-edit",
            message(
                3,
                "d1-3",
                Body::Edit {
                    target,
                    message: "hello, Bob".into(),
                },
            ),
        ),
        entry("entry-delete", message(4, "d1-4", Body::Delete { target })),
        entry(
            "entry-react",
            message(
                5,
                "d1-5",
                Body::React {
                    target,
                    reaction: "👍".into(),
                },
            ),
        ),
        entry(
            "entry-unreact",
            message(
                6,
                "d1-6",
                Body::Unreact {
                    target,
                    reaction: "👍".into(),
                },
            ),
        ),
        entry(
            "entry-opaque",
            message(7, "d1-2", Body::Opaque(vec![0, 1, 2, 3].into())),
        ),
        entry(
            "entry-create",
            change(MemberChange::Create {
                title: "Walkers".into(),
                members: vec![user("bob"), user("carol")],
                history: HistoryStart::Joining,
            }),
        ),
        entry(
            "entry-rename",
            change(MemberChange::Rename {
                title: "Hikers".into(),
            }),
        ),
        entry(
            "entry-add",
            change(MemberChange::Add {
                users: vec![user("dave")],
            }),
        ),
        entry(
            "entry-remove",
            change(MemberChange::Remove { user: user("dave") }),
        ),
        entry("entry-leave", change(MemberChange::Leave)),
        entry(
            "entry-role",
            change(MemberChange::Role {
                user: user("bob"),
                role: Role::Admin,
            }),
        ),
        event(
            "withdrawn",
            &EventBody::Withdrawn {
                conversation: direct(),
                id: target,
                position: at(3),
                stands: Some(at(1)),
            },
        ),
        event(
            "receipts",
            &EventBody::Receipts {
                conversation: direct(),
                changes: vec![ReceiptChange {
                    user: user("bob"),
                    marks: Marks {
                        delivered: at(1),
                        seen: at(0),
                    },
                }],
            },
        ),
        event(
            "typing",
            &EventBody::Typing {
                conversation: direct(),
                user: user("bob"),
                active: true,
            },
        ),
        event(
            "joined",
            &EventBody::Joined {
                conversation: group(),
            },
        ),
        event(
            "left",
            &EventBody::Left {
                conversation: group(),
            },
        ),
        event(
            "heads",
            &EventBody::Heads {
                heads: vec![(direct(), at(1)), (group(), at(2))],
            },
        ),
        event(
            "gap",
            &EventBody::Gap {
                lost: LostRange::Conversations(vec![direct(), group()]),
            },
        ),
        event(
            "gap-all",
            &EventBody::Gap {
                lost: LostRange::All,
            },
        ),
        event(
            "draining",
            &EventBody::Draining {
                reconnect_within: Duration::from_millis(1500),
            },
        ),
    ]
}

pub(crate) fn errors() -> Vec<Frame> {
    let failed = |name: String, id: Option<u64>, failure: &Failure| {
        let mut out = Vec::new();
        wire::failed(&mut out, id, failure);
        frame(format!("error-{name}"), String::from_utf8(out).unwrap())
    };
    let name = |code: Code| {
        serde_json::to_value(code)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    let message = |code: Code| match code {
        Code::Invalid => "conversation: must be 22 characters of base64url",
        Code::TooLarge => "text: 16385 is over the limit of 16384",
        Code::NotFound => "no such conversation",
        Code::Forbidden => "your role does not allow this",
        Code::Blocked => "one of you has blocked the other",
        Code::LimitReached => "a group has at most 10000 members",
        Code::RateLimited => "too many requests",
        Code::Busy => "the queue is full",
        Code::Unavailable => "the broker did not confirm in time",
        Code::Conflict => "another change came between",
        Code::Closed => "the session is closed",
        Code::UnknownCommand => "there is no such command",
        _ => "a defect of the server",
    };
    let mut all: Vec<_> = Code::ALL
        .into_iter()
        .filter(|code| !matches!(code, Code::Malformed | Code::Unauthenticated))
        .map(|code| failed(name(code), Some(7), &Failure::new(code, message(code))))
        .collect();
    let malformed = wire::decode("hello").unwrap_err();
    all.push(failed("malformed".into(), malformed.id, &malformed.failure));
    all
}
