//! The subject of `darda-client`: holds one client and speaks the lines of `clients/suite/README.md`.

use std::io::Write;
use std::path::PathBuf;

use darda_client::{
    Client, ConversationId, Entry, Error, FileStorage, MemoryStorage, Sending, Settings, Start,
    State, Timing, Update, Updates,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[derive(Debug, Deserialize)]
struct Line {
    n: u64,
    #[serde(flatten)]
    command: Command,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    Open {
        url: String,
        storage: Option<PathBuf>,
        speed: u32,
    },
    Direct {
        user: String,
    },
    Send {
        conversation: ConversationId,
        text: String,
    },
    Pause,
    Continue,
    /// This client reads no wall clock.
    Clock,
    Stop,
}

/// Writes a report, one line, before anything else happens: what was reported is handled, and stays so when
/// the process is killed.
fn say(report: &Value) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(format!("{report}\n").as_bytes());
    // The runner has gone: this process ends with its input.
    let _ = written.and_then(|()| out.flush());
}

#[tokio::main]
async fn main() -> Result<()> {
    let name = format!("darda-client {}", env!("CARGO_PKG_VERSION"));
    say(&json!({"report": "ready", "client": name, "can": ["restart"]}));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (paused, is_paused) = watch::channel(false);
    let mut client = None;
    while let Some(line) = lines.next_line().await? {
        let Line { n, command } = serde_json::from_str(&line)?;
        match (command, &client) {
            (
                Command::Open {
                    url,
                    storage,
                    speed,
                },
                None,
            ) => {
                let (opened, updates) = open(url, storage, speed).await?;
                tokio::spawn(report(updates, is_paused.clone()));
                client = Some(opened);
                say(&done(n));
            }
            (Command::Direct { user }, Some(client)) => {
                let client = client.clone();
                tokio::spawn(async move {
                    match client.open_direct(user.as_str()).await {
                        Ok(id) => {
                            say(&json!({"report": "done", "n": n, "conversation": id}));
                        }
                        Err(error) => say(&failed(n, &error)),
                    }
                });
            }
            (Command::Send { conversation, text }, Some(client)) => {
                match client.send(&conversation, text.as_str()).await {
                    Ok(sending) => {
                        say(&done(n));
                        tokio::spawn(answer(sending, conversation, text));
                    }
                    Err(error) => say(&failed(n, &error)),
                }
            }
            (Command::Pause, _) => {
                paused.send_replace(true);
                say(&done(n));
            }
            (Command::Continue, _) => {
                paused.send_replace(false);
                say(&done(n));
            }
            (Command::Clock, _) => say(&done(n)),
            (Command::Stop, Some(client)) => {
                client.close().await;
                say(&done(n));
                break;
            }
            (command, _) => {
                let why = format!("not now: {command:?}");
                say(&json!({"report": "failed", "n": n, "why": why}));
            }
        }
    }
    Ok(())
}

async fn open(
    url: String,
    storage: Option<PathBuf>,
    speed: u32,
) -> Result<(Client, Updates), Error> {
    let settings = Settings::new(url)
        .with_start(Start::Beginning)
        .with_timing(Timing::default().faster(speed));
    match storage {
        Some(directory) => Client::start(settings, FileStorage::open(directory).await?).await,
        None => Client::start(settings, MemoryStorage::new()).await,
    }
}

fn done(n: u64) -> Value {
    json!({"report": "done", "n": n})
}

fn failed(n: u64, error: &Error) -> Value {
    json!({"report": "failed", "n": n, "why": error.to_string()})
}

/// What became of a send.
async fn answer(sending: Sending, conversation: ConversationId, text: String) {
    let client_id = sending.client_id().clone();
    match sending.acked().await {
        Ok(ack) => say(&json!({
            "report": "acked", "conversation": conversation, "client_id": client_id,
            "entry": ack.entry, "position": ack.position, "text": text,
        })),
        Err(error) => {
            if let Some(code) = error.code() {
                say(&json!({
                    "report": "refused", "conversation": conversation, "client_id": client_id,
                    "text": text, "code": code, "message": error.to_string(),
                }));
            }
        }
    }
}

/// Reports what the stream gives, while nobody says that the app is slow.
async fn report(mut updates: Updates, mut paused: watch::Receiver<bool>) {
    loop {
        if paused.wait_for(|paused| !paused).await.is_err() {
            return;
        }
        // Reported is handled.
        let update = tokio::select! {
            update = updates.next() => update,
            _ = paused.wait_for(|paused| *paused) => continue,
        };
        let Some(update) = update else { return };
        match update {
            Update::Status(status) => say(&json!({
                "report": "status", "state": word(status.state), "text": status.to_string(),
            })),
            Update::Entry { entry, late } => say(&shown(&entry, late)),
            Update::Withdrawn {
                conversation,
                entry,
                position,
                stands,
            } => say(&json!({
                "report": "moved", "conversation": conversation, "entry": entry,
                "from": position, "to": stands,
            })),
            _ => {}
        }
    }
}

fn shown(entry: &Entry, late: bool) -> Value {
    let mut report = json!({
        "report": "entry", "conversation": entry.conversation, "position": entry.position,
        "entry": entry.entry, "sender": entry.sender, "client_id": entry.client_id,
        "text": entry.body.text(),
    });
    if late {
        report["late"] = true.into();
    }
    report
}

fn word(state: State) -> &'static str {
    match state {
        State::Connecting => "connecting",
        State::Online => "online",
        State::Behind => "behind",
        State::Refused => "refused",
        State::Stopped => "stopped",
        _ => "offline",
    }
}
