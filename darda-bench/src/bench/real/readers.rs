//! The members of a group, all connected, who do everything at the same moment: read, go, come back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Size;
use crate::bench::room::unasked;
use crate::client::{Client, PATIENCE, Receive, spread};
use crate::{Result, darda, stamp};

/// Ids of the commands.
const SEND: u64 = 0;
const DELIVERED: u64 = 1;
const SEEN: u64 = 2;
const PRESENCE: u64 = 3;

/// What a storm brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storm {
    /// Events that came, and their bytes.
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Until the last member knew all.
    pub(super) time: Duration,
}

impl Storm {
    pub(super) fn and(self, other: &Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            bytes: self.bytes + other.bytes,
            time: self.time + other.time,
        }
    }
}

/// A group with a session of each member.
#[derive(Debug)]
pub(super) struct Group {
    client: Client,
    at: Vec<SocketAddr>,
    users: Vec<String>,
    conversation: String,
    /// Messages sent.
    messages: u64,
    views: Views,
}

impl Group {
    /// The members are spread evenly over the gateways at these addresses.
    pub(super) fn open(at: &[SocketAddr], members: usize) -> Result<Self> {
        let &first = at.first().ok_or("a group needs a gateway")?;
        let mut client = Client::new(first)?;
        let users: Vec<_> = (0..members).map(name).collect();
        let (sender, others) = users.split_first().ok_or("a group needs a member")?;
        client.connect_all([darda::path(sender)], &mut darda::ignore)?;
        let conversation = darda::create_group(&mut client, 0, others)?;
        for (address, users) in spread(others, at) {
            client.aim(address);
            let paths = users.iter().map(|user| darda::path(user));
            client.connect_all(paths, &mut darda::ignore)?;
        }
        Ok(Self {
            client,
            at: at.to_vec(),
            users,
            conversation,
            messages: 0,
            views: Views::new(0, members),
        })
    }

    /// One message of the first member, which all get.
    pub(super) fn send(&mut self, size: &Size) -> Result<()> {
        let text = String::from_utf8(stamp::text(self.messages, size.text))?;
        let command = json!({"id": SEND, "cmd": "send", "conversation": self.conversation,
            "client_id": self.messages.to_string(), "text": text});
        self.messages += 1;
        (self.views.entries, self.views.replies) = (0, 0);
        let sender = self.views.first;
        self.client.queue(sender, command.to_string().as_bytes())?;
        self.client.flush(sender)?;
        let deadline = Instant::now() + PATIENCE;
        while self.views.entries + 1 < self.users.len() || self.views.replies < 1 {
            self.client.turn_until(deadline, &mut self.views)?;
        }
        Ok(())
    }

    /// All mark the newest message as delivered and as seen, and are told the marks of all.
    pub(super) fn read(&mut self) -> Result<Storm> {
        let position = self.views.position.ok_or("nothing was sent")?;
        let mark = |id, mark| {
            json!({"id": id, "cmd": mark, "conversation": self.conversation, "position": position})
                .to_string()
        };
        let marks = [mark(DELIVERED, "delivered"), mark(SEEN, "seen")];
        self.views.begin();
        let start = Instant::now();
        for socket in self.views.sockets() {
            for mark in &marks {
                self.client.queue(socket, mark.as_bytes())?;
            }
            self.client.flush(socket)?;
        }
        let deadline = start + PATIENCE;
        while self.views.unknown > 0 || self.views.replies < 2 * self.users.len() {
            self.client.turn_until(deadline, &mut self.views)?;
        }
        Ok(self.views.storm(start))
    }

    /// What the store keeps is what the members were told.
    pub(super) fn judge(&mut self) -> Result<()> {
        let command = json!({"cmd": "receipts", "conversation": self.conversation});
        let reply = darda::ask_one(&mut self.client, self.views.first, command)?;
        let kept = told(&reply)?;
        let position = self.views.position.unwrap_or_default();
        let whole = |(_, marks): &(usize, Marks)| *marks == [position; 2];
        if kept.len() == self.users.len() && kept.iter().all(whole) {
            return Ok(());
        }
        Err(format!("the store has not all marks of {position}: {reply}").into())
    }

    /// All are cut off.
    pub(super) fn go(&mut self) -> Result<()> {
        self.client.cut(self.views.sockets())
    }

    /// All connect at once and ask who is there.
    pub(super) fn come(&mut self) -> Result<Storm> {
        let command = json!({"id": PRESENCE, "cmd": "presence", "conversation": self.conversation})
            .to_string();
        self.views = Views::new(self.views.sockets().end, self.users.len());
        let start = Instant::now();
        for (address, users) in spread(&self.users, &self.at) {
            self.client.aim(address);
            for user in users {
                self.client.connect(&darda::path(user))?;
            }
        }
        let deadline = start + PATIENCE;
        while self.views.replies < self.users.len() {
            self.client.turn_until(deadline, &mut self.views)?;
            for socket in std::mem::take(&mut self.views.opened) {
                self.client.queue(socket, command.as_bytes())?;
                self.client.flush(socket)?;
            }
        }
        Ok(self.views.storm(start))
    }

    /// Now that all are there, the last member is told so.
    pub(super) fn judge_presence(&mut self) -> Result<()> {
        let command = json!({"cmd": "presence", "conversation": self.conversation});
        let last = self.views.sockets().end - 1;
        let reply = darda::ask_one(&mut self.client, last, command)?;
        let others = reply["presence"].as_array().map_or(&[][..], Vec::as_slice);
        if !others.is_empty() && others.iter().all(|other| other["online"] == true) {
            return Ok(());
        }
        Err(format!("all are connected, and not all are shown so: {reply}").into())
    }
}

fn name(member: usize) -> String {
    format!("member{member}")
}

/// Positions up to which something was delivered and seen.
type Marks = [u64; 2];

/// What each member has been told of each.
#[derive(Debug)]
struct Views {
    /// The first member's socket.
    first: usize,
    members: usize,
    /// Marks of each member as each knows them: those that one member knows lie together.
    marks: Vec<Marks>,
    /// The newest message, which is the one that is marked.
    position: Option<u64>,
    /// Pairs of members of whom one does not know that the other has seen it.
    unknown: usize,
    entries: usize,
    replies: usize,
    opened: Vec<usize>,
    storm: Storm,
    /// The same bytes come to many, and are read once.
    read: HashMap<Vec<u8>, Vec<(usize, Marks)>>,
}

impl Views {
    fn new(first: usize, members: usize) -> Self {
        Self {
            first,
            members,
            marks: vec![Marks::default(); members * members],
            position: None,
            unknown: 0,
            entries: 0,
            replies: 0,
            opened: Vec::new(),
            storm: Storm::default(),
            read: HashMap::new(),
        }
    }

    fn sockets(&self) -> Range<usize> {
        self.first..self.first + self.members
    }

    /// Nobody knows of any mark of the newest message.
    fn begin(&mut self) {
        self.unknown = self.members * self.members;
        self.replies = 0;
        self.storm = Storm::default();
        self.read.clear();
    }

    /// What came since then.
    fn storm(&self, start: Instant) -> Storm {
        Storm {
            time: start.elapsed(),
            ..self.storm
        }
    }

    fn receipts(&mut self, member: usize, payload: &[u8]) -> Result<()> {
        if !self.read.contains_key(payload) {
            let changes = told(&serde_json::from_slice(payload)?)?;
            self.read.insert(payload.to_vec(), changes);
        }
        let changes = self.read.get(payload).map_or(&[][..], Vec::as_slice);
        for &(of, marks) in changes {
            let known = self.marks.get_mut(member * self.members + of);
            let known = known.ok_or("marks of nobody")?;
            let back = marks[0] < known[0] || marks[1] < known[1];
            if back || marks.iter().any(|&mark| Some(mark) > self.position) {
                let text = format!("{} was told that {} is at", name(member), name(of));
                return Err(
                    format!("{text} {marks:?} after {known:?}: not a mark that was set").into(),
                );
            }
            let news = marks[1] > known[1] && Some(marks[1]) == self.position;
            self.unknown -= usize::from(news);
            *known = marks;
        }
        Ok(())
    }

    fn reply(&mut self, id: u64, payload: &[u8]) -> Result<()> {
        if id == SEND {
            let reply: Value = serde_json::from_slice(payload)?;
            let position = reply["ok"]["position"].as_u64();
            self.position = Some(position.ok_or("a message without a position")?);
        }
        self.replies += 1;
        Ok(())
    }
}

impl Receive for Views {
    fn opened(&mut self, socket: usize) -> Result<()> {
        self.opened.push(socket);
        Ok(())
    }

    fn frame(&mut self, socket: usize, payload: &[u8]) -> Result<()> {
        let member = socket.checked_sub(self.first).ok_or("a frame for nobody")?;
        let reply = darda::acked(payload)?;
        // What comes in any case: the empty answers to marks, and the welcome.
        let hello = payload.starts_with(b"{\"event\":\"hello\"");
        if !hello && !matches!(reply, Some(DELIVERED | SEEN)) {
            self.storm.frames += 1;
            self.storm.bytes += payload.len() as u64;
        }
        if let Some(id) = reply {
            return self.reply(id, payload);
        }
        if payload.starts_with(b"{\"event\":\"receipts\"") {
            return self.receipts(member, payload);
        }
        self.entries += usize::from(payload.starts_with(b"{\"event\":\"entry\""));
        unasked(payload)
    }
}

/// The members of a list of receipts, by number, and their marks.
fn told(value: &Value) -> Result<Vec<(usize, Marks)>> {
    let receipts = value["receipts"].as_array().ok_or("no receipts")?;
    let read = |receipt: &Value| {
        let member = receipt["user"]
            .as_str()?
            .strip_prefix("member")?
            .parse()
            .ok()?;
        Some((
            member,
            [receipt["delivered"].as_u64()?, receipt["seen"].as_u64()?],
        ))
    };
    let read = receipts.iter().map(read).collect::<Option<_>>();
    read.ok_or_else(|| "receipts of nobody".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts(member: usize, [delivered, seen]: Marks) -> Vec<u8> {
        let receipt = json!({"user": name(member), "delivered": delivered, "seen": seen});
        let event = json!({"conversation": "c", "receipts": [receipt]}).to_string();
        event
            .replacen('{', "{\"event\":\"receipts\",", 1)
            .into_bytes()
    }

    fn reading(position: u64) -> Views {
        let mut views = Views::new(0, 2);
        views.position = Some(position);
        views.begin();
        views
    }

    #[test]
    fn a_storm_is_over_when_each_knows_that_each_has_seen_it() {
        let mut views = reading(7);
        for (member, of) in [(0, 0), (0, 1), (1, 0)] {
            views.frame(member, &receipts(of, [7, 0])).unwrap();
            views.frame(member, &receipts(of, [7, 7])).unwrap();
        }
        assert_eq!((views.unknown, views.storm.frames), (1, 6));
        views.frame(1, &receipts(1, [7, 7])).unwrap();
        assert_eq!(views.unknown, 0);
    }

    #[test]
    fn what_is_told_twice_counts_once() {
        let mut views = reading(7);
        views.frame(0, &receipts(1, [7, 7])).unwrap();
        views.frame(0, &receipts(1, [7, 7])).unwrap();
        assert_eq!(views.unknown, 3);
    }

    #[test]
    fn a_mark_that_goes_back_and_one_that_nobody_set_are_errors() {
        let mut views = reading(7);
        views.frame(0, &receipts(1, [7, 7])).unwrap();
        assert!(views.frame(0, &receipts(1, [7, 0])).is_err());
        assert!(views.frame(1, &receipts(1, [8, 0])).is_err());
    }
}
