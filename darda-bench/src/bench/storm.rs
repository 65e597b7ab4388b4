//! All sessions are cut off, each misses messages in a direct chat of its own, and all come back at
//! once. Against it stand the same connects with nothing to resume.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Size;
use crate::client::{Client, Patience, Receive};
use crate::process::{Kind, Server};
use crate::report::{Goal, Rounds, Table};
use crate::{Result, darda, stamp};

/// Connections that send what the others miss; they stay.
pub(super) const SENDERS: usize = 50;
/// What the best rival needs for 2,000 sessions with 20 missed messages each, in milliseconds.
const RIVAL: f64 = 257.0;

pub(super) fn run(size: &Size) -> Result<()> {
    if !size.kinds.contains(&Kind::Darda) {
        return Ok(());
    }
    let [mut connects, mut resumes] = [Rounds::default(), Rounds::default()];
    let server = Server::start(Kind::Darda)?;
    let mut crowd = Crowd::open([server.address; 2], size.storm, size)?;
    for _ in 0..size.rounds {
        let (sessions, time) = crowd.come(false)?;
        connects.push(milliseconds(time));
        crowd.client.cut(sessions)?;
        crowd.miss(size)?;
        let (sessions, time) = crowd.come(true)?;
        resumes.push(milliseconds(time));
        crowd.client.cut(sessions)?;
        crowd.judge(size)?;
    }
    let ratio = resumes.over(&connects);
    let title = format!(
        "{} sessions back at once, {} missed messages each: ms until the last has all",
        size.storm, size.missed
    );
    let mut table = Table::new(
        title,
        &["connects only", "with resume", "ratio", "goal", "goal, ms"],
    );
    table.row([
        connects.show(0),
        resumes.show(0),
        ratio.show(2),
        Goal::AtMost(3.0).judge(ratio.median(), 1),
        Goal::AtMost(RIVAL).judge(resumes.median(), 0),
    ]);
    table.print();
    Ok(())
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Users with one conversation each.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) client: Client,
    conversations: Vec<String>,
    cursors: Vec<u64>,
    newest: Vec<u64>,
    /// Replies to resume, one of each user, judged when the clock no longer runs.
    replies: Vec<Vec<u8>>,
    /// Messages sent to each conversation.
    messages: u64,
    /// Resumes that were refused for the moment and asked for again.
    pub(super) retries: usize,
}

impl Crowd {
    /// The senders are at the first server, the users come to the second.
    pub(super) fn open(at: [SocketAddr; 2], users: usize, size: &Size) -> Result<Self> {
        let mut client = Client::new(at[0])?;
        let paths = (0..SENDERS).map(|sender| darda::path(&format!("sender{sender}")));
        client.connect_all(paths, &mut darda::ignore)?;
        let open = |user| {
            (
                user % SENDERS,
                json!({"cmd": "open_direct", "user": name(user)}),
            )
        };
        let opened = darda::ask(&mut client, (0..users).map(open).collect(), SENDERS)?;
        client.aim(at[1]);
        let mut crowd = Self {
            client,
            conversations: opened.iter().map(darda::id_of).collect::<Result<_>>()?,
            cursors: Vec::new(),
            newest: Vec::new(),
            replies: Vec::new(),
            messages: 0,
            retries: 0,
        };
        // The message that all have seen: its position is where they resume.
        crowd.newest = crowd.send_to_all(size)?;
        Ok(crowd)
    }

    /// Everybody's missed messages.
    pub(super) fn miss(&mut self, size: &Size) -> Result<()> {
        self.cursors.clone_from(&self.newest);
        for _ in 0..size.missed {
            self.newest = self.send_to_all(size)?;
        }
        Ok(())
    }

    /// One message to each conversation. Returns their positions.
    fn send_to_all(&mut self, size: &Size) -> Result<Vec<u64>> {
        let text = String::from_utf8(stamp::text(self.messages, size.text))?;
        let client_id = self.messages.to_string();
        self.messages += 1;
        let send = |(user, conversation): (usize, &String)| {
            let command = json!({"cmd": "send", "conversation": conversation,
                "client_id": client_id, "text": text});
            (user % SENDERS, command)
        };
        let commands = self.conversations.iter().enumerate().map(send).collect();
        let acks = darda::ask(&mut self.client, commands, 4 * SENDERS)?;
        let position = |ack: &Value| ack["position"].as_u64().ok_or_else(|| "no position".into());
        acks.iter().map(position).collect()
    }

    /// All connect at once, and resume if asked to. Returns their sockets and the time until the
    /// last has what it came for: its hello, or its missed messages.
    pub(super) fn come(&mut self, resume: bool) -> Result<(Range<usize>, Duration)> {
        let users = self.conversations.len();
        let pairs = self.conversations.iter().zip(&self.cursors);
        let commands: Vec<String> = pairs
            .map(|(conversation, cursor)| {
                let cursors = json!([{"conversation": conversation, "cursor": cursor}]);
                json!({"id": 0, "cmd": "resume", "cursors": cursors}).to_string()
            })
            .collect();
        let mut arrivals = Arrivals {
            resume,
            first: 0,
            opened: Vec::new(),
            replies: vec![Vec::new(); users],
            complete: 0,
            again: VecDeque::new(),
            retries: 0,
        };
        let start = Instant::now();
        let mut last = 0;
        for user in 0..users {
            last = self.client.connect(&darda::path(&name(user)))?;
            if user == 0 {
                arrivals.first = last;
            }
            // So that the server's queue of connects to accept does not decide the time.
            if user % 64 == 63 {
                self.advance(&mut arrivals, &commands, Some(Duration::ZERO))?;
            }
        }
        let mut patience = Patience::new(0);
        while arrivals.complete < users {
            if patience.ends(arrivals.complete) {
                let missing = users - arrivals.complete;
                return Err(format!("{missing} sessions did not get theirs: lost").into());
            }
            self.advance(&mut arrivals, &commands, Some(Duration::from_millis(100)))?;
        }
        let time = start.elapsed();
        self.replies = arrivals.replies;
        self.retries += arrivals.retries;
        Ok((arrivals.first..last + 1, time))
    }

    fn advance(
        &mut self,
        arrivals: &mut Arrivals,
        commands: &[String],
        timeout: Option<Duration>,
    ) -> Result<()> {
        self.client.turn(timeout, arrivals)?;
        while let Some(&(due, socket)) = arrivals.again.front()
            && due <= Instant::now()
        {
            arrivals.again.pop_front();
            arrivals.opened.push(socket);
        }
        for socket in arrivals.opened.drain(..) {
            if arrivals.resume {
                self.client
                    .queue(socket, commands[socket - arrivals.first].as_bytes())?;
                self.client.flush(socket)?;
            }
        }
        Ok(())
    }

    /// Each user got each missed message once and in order.
    pub(super) fn judge(&self, size: &Size) -> Result<()> {
        let missed = self.messages - size.missed as u64..self.messages;
        for (reply, conversation) in self.replies.iter().zip(&self.conversations) {
            let reply: Value = serde_json::from_slice(reply)?;
            let resumed = &reply["ok"]["conversations"][0];
            let stamps = resumed["entries"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|entry| {
                    let text = entry["text"].as_str().unwrap_or_default();
                    text.as_bytes()
                        .first_chunk()
                        .and_then(|digits| stamp::unstamp(*digits))
                });
            if resumed["conversation"] != **conversation
                || resumed["complete"] != true
                || !stamps.eq(missed.clone().map(Some))
            {
                let reply: String = reply.to_string().chars().take(500).collect();
                return Err(
                    format!("messages {missed:?} are not in {reply}: lost or doubled").into(),
                );
            }
        }
        Ok(())
    }
}

fn name(user: usize) -> String {
    format!("user{user}")
}

#[derive(Debug)]
struct Arrivals {
    resume: bool,
    /// The first user's socket.
    first: usize,
    opened: Vec<usize>,
    replies: Vec<Vec<u8>>,
    complete: usize,
    /// Who is to ask again, and when.
    again: VecDeque<(Instant, usize)>,
    retries: usize,
}

/// A reply that is longer holds entries.
const REFUSAL: usize = 1_000;

/// After how long a resume is to be asked for again, if it was refused for the moment.
fn retry_after(reply: &[u8]) -> Result<Option<Duration>> {
    if reply.len() > REFUSAL || stamp::search(reply, b"\"retry_after_ms\":").is_none() {
        return Ok(None);
    }
    let reply: Value = serde_json::from_slice(reply)?;
    let error = match &reply["error"] {
        Value::Null => &reply["ok"]["conversations"][0]["error"],
        error => error,
    };
    Ok(error["retry_after_ms"].as_u64().map(Duration::from_millis))
}

impl Receive for Arrivals {
    fn opened(&mut self, socket: usize) -> Result<()> {
        self.opened.push(socket);
        Ok(())
    }

    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        if socket < self.first {
            return Ok(());
        }
        if self.resume {
            if let Some(after) = retry_after(payload)? {
                self.retries += 1;
                self.again.push_back((Instant::now() + after, socket));
            } else if darda::acked(payload)?.is_some() {
                self.replies[socket - self.first].extend_from_slice(payload);
                self.complete += 1;
            }
        } else {
            self.complete += usize::from(payload.starts_with(b"{\"event\":\"hello\""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_that_is_refused_for_the_moment_says_when_to_ask_again() {
        let part = br#"{"id":0,"ok":{"conversations":[{"conversation":"c","error":{"code":"unavailable","message":"away","retry_after_ms":1000}}]}}"#;
        let whole = br#"{"id":0,"error":{"code":"busy","message":"full","retry_after_ms":500}}"#;
        let done = br#"{"id":0,"ok":{"conversations":[]}}"#;
        assert_eq!(retry_after(part).unwrap(), Some(Duration::from_secs(1)));
        assert_eq!(
            retry_after(whole).unwrap(),
            Some(Duration::from_millis(500))
        );
        assert_eq!(retry_after(done).unwrap(), None);
    }
}
