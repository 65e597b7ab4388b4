//! Whole loads on a server that relays as it should, or not quite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

use super::cast::Cast;
use super::mix::Mix;
use super::report::Report;
use super::{Options, step};
use crate::Result;

#[path = "../../../../tests/support/encryption.rs"]
mod encryption;

use encryption::encryption;

/// What a server does wrong, with each message whose number ends with a 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// One of the others does not get it.
    Loses,
    Doubles,
    DoesNotAnswer,
    Refuses,
    /// It closes the sender's connection.
    Closes,
    /// It answers and relays only after a while, and nothing else of that sender meanwhile.
    Stalls,
}

type Rooms = Arc<Mutex<HashMap<String, Vec<mpsc::UnboundedSender<String>>>>>;

/// A server of Socket.IO, as far as the load looks. It ends when the handle is dropped.
async fn serve(fault: Fault, encryption: Option<TlsAcceptor>) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = encryption.as_ref().map_or("ws", |_| "wss");
    let address = format!("{scheme}://{}", listener.local_addr().unwrap());
    let rooms = Rooms::default();
    let serving = tokio::spawn(async move {
        let mut connections = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (rooms, encryption) = (rooms.clone(), encryption.clone());
            let serving = tokio::spawn(async move {
                match encryption {
                    None => connection(stream, rooms, fault).await,
                    // Who does not believe the certificate is gone.
                    Some(encryption) => {
                        if let Ok(stream) = encryption.accept(stream).await {
                            connection(stream, rooms, fault).await;
                        }
                    }
                }
            });
            connections.push(AbortOnDropHandle::new(serving));
        }
    });
    (address, AbortOnDropHandle::new(serving))
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, rooms: Rooms, fault: Fault) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let (sender, mut outgoing) = mpsc::unbounded_channel();
    sender.send(r#"0{"sid":"a"}"#.to_owned()).unwrap();
    loop {
        let frame = tokio::select! {
            frame = outgoing.recv() => {
                if socket.send(Message::Text(frame.unwrap().into())).await.is_err() {
                    return;
                }
                continue;
            }
            frame = socket.next() => frame,
        };
        let Some(Ok(Message::Text(text))) = frame else {
            return;
        };
        let Some(event) = text.strip_prefix("42") else {
            sender.send(r#"40{"sid":"b"}"#.to_owned()).unwrap();
            continue;
        };
        let (id, event) = event.split_at(event.find('[').unwrap());
        let event: Value = serde_json::from_str(event).unwrap();
        if event[0] == "join" {
            for room in event[1].as_array().unwrap() {
                let room = room.as_str().unwrap().to_owned();
                rooms.lock().entry(room).or_default().push(sender.clone());
            }
        } else if relay(&event, &sender, &rooms, fault).await {
            sender.send(format!("43{id}[\"full\"]")).unwrap();
            continue;
        } else if fault == Fault::Closes && is_seventh(&event) {
            return;
        }
        if fault != Fault::DoesNotAnswer || !is_seventh(&event) {
            sender.send(format!("43{id}[]")).unwrap();
        }
    }
}

fn is_seventh(event: &Value) -> bool {
    let text = event[2]["text"].as_str().unwrap_or_default();
    text.trim_end_matches('.').trim_end().ends_with('7')
}

/// Passes an event on; whether it is refused instead.
async fn relay(
    event: &Value,
    sender: &mpsc::UnboundedSender<String>,
    rooms: &Rooms,
    fault: Fault,
) -> bool {
    let fault = if is_seventh(event) {
        fault
    } else {
        Fault::None
    };
    match fault {
        Fault::Refuses => return true,
        Fault::Stalls => tokio::time::sleep(Duration::from_millis(150)).await,
        _ => {}
    }
    let room = event[1].as_str().unwrap();
    let frame = format!("42{}", json!(["message", room, event[2]]));
    let members = rooms.lock()[room].clone();
    let mut others = members.iter().filter(|it| !it.same_channel(sender));
    if fault == Fault::Loses {
        others.next();
    }
    for other in others {
        // Who has gone gets nothing.
        drop(other.send(frame.clone()));
        if fault == Fault::Doubles {
            drop(other.send(frame.clone()));
        }
    }
    false
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// 2 s of 50 messages a second.
async fn load(fault: Fault, arguments: &[&str]) -> Report {
    let (address, _serving) = serve(fault, None).await;
    load_on(&address, arguments).await.unwrap()
}

async fn load_on(address: &str, arguments: &[&str]) -> Result<Report> {
    let common = "load --protocol socketio --rate 50 --seconds 2 --warm-up 0 --patience 2 --server";
    let line = common.split(' ').chain([address]);
    let options = Line::parse_from(line.chain(arguments.iter().copied())).options;
    let mix = Mix::new(options.kind, options.sessions, options.members).unwrap();
    let mut cast = Cast::gather(&options, Arc::new(mix)).await?;
    let report = step::measure(&mut cast, &options, options.rate).await;
    cast.dismiss().await?;
    report
}

fn count(report: &Report, what: &str) -> u64 {
    report.json()["counts"][what].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn what_works_has_no_faults() {
    let report = load(Fault::None, &["--sessions", "8", "--members", "4"]).await;
    assert_eq!(report.faults(), 0, "{}", report.table());
    assert_eq!(count(&report, "messages due"), 100);
    assert_eq!(count(&report, "acknowledged"), 100);
    let json = report.json();
    assert_eq!(json["ms"]["with each other member"]["count"], 300);
    assert_eq!(json["ms"]["with the last member"]["count"], 100);
}

#[tokio::test]
async fn a_chat_marks_what_it_gets_and_has_no_faults() {
    let report = load(Fault::None, &["--mix", "chat", "--sessions", "20"]).await;
    assert_eq!(report.faults(), 0, "{}", report.table());
    // 60 % go to one other, 30 % to six (20 are three groups of six or seven), 10 % to nineteen.
    let deliveries = report.json()["ms"]["with each other member"]["count"].clone();
    assert!(
        (400..=440).contains(&deliveries.as_u64().unwrap()),
        "{deliveries}"
    );
    let marks = count(&report, "receipts sent");
    assert!((100..=500).contains(&marks), "{marks} marks");
    assert!(count(&report, "told of receipts, typing") >= marks);
}

#[tokio::test]
async fn nobody_marks_in_conversations_that_are_too_large_for_it() {
    let chat = ["--mix", "chat", "--sessions", "20", "--receipts-up-to"];
    let of_two = load(Fault::None, &[&chat[..], &["2"]].concat()).await;
    let marks = count(&of_two, "receipts sent");
    // Of 100 messages 60 go to one other, who marks each as delivered and as seen at most.
    assert!((1..=120).contains(&marks), "{marks} marks");
    let of_none = load(Fault::None, &[&chat[..], &["1"]].concat()).await;
    assert_eq!(count(&of_none, "receipts sent"), 0);
    assert_eq!(count(&of_none, "typing sent"), 0);
}

#[tokio::test]
async fn a_load_goes_over_tls_to_a_server_that_is_vouched_for() {
    let (encryption, certificate) = encryption();
    let (address, _serving) = serve(Fault::None, Some(encryption)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, certificate).unwrap();
    let ca = file.path().to_str().unwrap();
    let sessions = ["--sessions", "8", "--members", "4"];
    let report = load_on(&address, &[&sessions[..], &["--ca", ca]].concat()).await;
    let report = report.unwrap();
    assert_eq!(report.faults(), 0, "{}", report.table());
    assert_eq!(count(&report, "acknowledged"), 100);

    let unknown = load_on(&address, &sessions).await.unwrap_err();
    let unknown = unknown.to_string();
    assert!(unknown.contains("certificate"), "{unknown}");
}

#[tokio::test]
async fn each_loss_is_counted_as_what_it_is() {
    let cases = [
        (Fault::Loses, "deliveries missed", 10),
        (Fault::Doubles, "deliveries doubled", 30),
        (Fault::DoesNotAnswer, "without an answer", 10),
        (Fault::Refuses, "refused: full", 10),
    ];
    for (fault, what, times) in cases {
        let report = load(fault, &["--sessions", "8", "--members", "4"]).await;
        assert_eq!(count(&report, what), times, "{fault:?}\n{}", report.table());
        assert_eq!(
            report.faults(),
            usize::try_from(times).unwrap(),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_counted_and_so_is_what_it_cannot_send_any_more() {
    let report = load(Fault::Closes, &["--sessions", "8", "--members", "4"]).await;
    assert!(count(&report, "closed with 1006") > 0, "{}", report.table());
    assert!(
        count(&report, "not put on the wire") > 0,
        "{}",
        report.table()
    );
}

#[tokio::test]
async fn a_stall_makes_everything_late_that_was_due_meanwhile() {
    let report = load(Fault::Stalls, &["--sessions", "2"]).await;
    assert_eq!(report.faults(), 0, "{}", report.table());
    // Ten stalls of 0.15 s in two seconds. A generator that waited would see ten late messages of a hundred;
    // here three of four are due during a stall.
    assert!(report.last(0.5) > 20.0, "{}", report.table());
}
