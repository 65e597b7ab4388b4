//! `darda chat`, `darda tail` and `darda send`.

use std::time::Duration;

use darda_client::{Body, Client, ConversationId, Entry, State, Update};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::{Result, Who, complain, say};

/// For what was typed last, when the input ends.
const GOODBYE: Duration = Duration::from_secs(10);

pub(crate) async fn chat(
    who: &Who,
    to: Option<String>,
    conversation: Option<String>,
) -> Result<()> {
    let (client, mut updates) = who.connect().await?;
    let talking = async {
        let conversation = open(&client, to, conversation).await?;
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let mut last = None;
        while let Some(line) = lines.next_line().await? {
            if !line.is_empty() {
                last = Some(client.send(&conversation, line).await?);
            }
        }
        if let Some(sending) = last {
            timeout(GOODBYE, sending.acked())
                .await
                .map_err(|_| "the last lines did not get to the server")??;
        }
        Ok(())
    };
    let listening = async {
        while let Some(update) = updates.next().await {
            tell(&update, Some(&who.user));
        }
    };
    let talked = tokio::select! {
        talked = talking => talked,
        () = listening => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    };
    client.close().await;
    talked
}

pub(crate) async fn tail(who: &Who) -> Result<()> {
    let (client, mut updates) = who.connect().await?;
    loop {
        tokio::select! {
            update = updates.next() => match update {
                Some(Update::Status(status)) if status.state == State::Refused => {
                    return Err(status.to_string().into());
                }
                Some(update) => tell(&update, None),
                None => return Ok(()),
            },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                updates.handled();
                client.close().await;
                return Ok(());
            }
        }
    }
}

pub(crate) async fn send(
    who: &Who,
    to: Option<String>,
    conversation: Option<String>,
    within: u64,
    text: String,
) -> Result<()> {
    let (client, _) = who.connect().await?;
    let sending = async {
        let conversation = open(&client, to, conversation).await?;
        let ack = client.send(&conversation, text).await?.acked().await?;
        say(&format!("{conversation} {}", ack.position));
        Ok(())
    };
    let sent = timeout(Duration::from_secs(within), sending).await;
    let status = client.status();
    client.close().await;
    sent.unwrap_or_else(|_| Err(format!("not sent within {within} s. {status}").into()))
}

async fn open(
    client: &Client,
    to: Option<String>,
    conversation: Option<String>,
) -> Result<ConversationId> {
    match (conversation, to) {
        (Some(id), _) => Ok(ConversationId::new(id)),
        (None, Some(user)) => Ok(client.open_direct(user.as_str()).await?),
        (None, None) => Err("--to or --conversation is missing".into()),
    }
}

/// Prints an update; what the user typed is on the screen already.
fn tell(update: &Update, me: Option<&str>) {
    match update {
        Update::Status(status) => complain(&status.to_string()),
        Update::Entry { entry, late } if me != Some(entry.sender.as_str()) => {
            say(&line(entry, *late, me.is_none()));
        }
        Update::Withdrawn {
            conversation,
            position,
            ..
        } => say(&format!("{position} {conversation} was withdrawn")),
        Update::Skipped {
            conversation,
            after,
            before,
        } => complain(&format!(
            "{conversation}: left out what stands between {after} and {before}"
        )),
        Update::Refused { error, .. } => complain(&format!("not sent: {error}")),
        Update::StorageFailed(error) => complain(&format!("not kept: {error}")),
        _ => {}
    }
}

fn line(entry: &Entry, late: bool, whole: bool) -> String {
    let what = match &entry.body {
        Body::Message { text, .. } => text.clone(),
        Body::Edit { target, text, .. } => format!("(edits {target}) {text}"),
        Body::Delete { target } => format!("(deletes {target})"),
        Body::React { target, reaction } => format!("({reaction} to {target})"),
        Body::Unreact { target, reaction } => format!("(no more {reaction} to {target})"),
        Body::Members { change } => format!("({change:?})"),
        Body::Opaque { payload } => format!("({} characters of base64)", payload.len()),
        _ => "(something newer than this program)".to_owned(),
    };
    let late = if late { " (late)" } else { "" };
    if whole {
        let Entry {
            position,
            conversation,
            sender,
            ..
        } = entry;
        format!("{position} {conversation} {sender}: {what}{late}")
    } else {
        format!("{}: {what}{late}", entry.sender)
    }
}
