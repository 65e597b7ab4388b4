//! Tiny histories made by hand, for the checkers' tests. Each step takes ten microseconds; each user
//! has one device with one session, made when first named.

use std::collections::BTreeMap;

use darda_core::model::{
    Body, ClientId, ConversationId, Entry, EntryId, Epoch, HistoryStart, Marks, MemberChange,
    Members, Message, Position, UserId,
};

use super::facts::Facts;
use crate::history::{
    CallNo, History, Log, Record, Reply, Request, Seen, SessionNo, Shown, Via, What,
};

pub(super) struct Story {
    history: History,
    conversation: ConversationId,
    sessions: BTreeMap<String, SessionNo>,
    calls: CallNo,
    now: u64,
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

impl Story {
    fn about(members: Members) -> Self {
        let conversation = members.conversation;
        let log = Log {
            conversation,
            entries: Vec::new(),
            members: Some(members),
            marks: Vec::new(),
        };
        let mut history = History::default();
        history.outcome.logs.push(log);
        Self {
            history,
            conversation,
            sessions: BTreeMap::new(),
            calls: 0,
            now: 0,
        }
    }

    /// Alice and bob.
    pub(super) fn direct() -> Self {
        Self::about(Members::direct(&user("alice"), &user("bob")))
    }

    /// Alice's, with these members.
    pub(super) fn group(members: &[&str]) -> Self {
        let name = ClientId::new("group").unwrap();
        let nobody = Members::nobody(ConversationId::group(&user("alice"), &name));
        let members = members.iter().map(|name| user(name)).collect();
        let history = HistoryStart::Beginning;
        Self::about(nobody).change(MemberChange::Create {
            title: "g".into(),
            members,
            history,
        })
    }

    fn log(&mut self) -> &mut Log {
        &mut self.history.outcome.logs[0]
    }

    fn id(&self, name: &str) -> EntryId {
        // Names are used by one sender each, so that the first who has it is meant.
        let log = &self.history.outcome.logs[0];
        let stored = log
            .entries
            .iter()
            .find(|entry| entry.client_id.as_str() == name);
        stored.map_or_else(|| self.id_by("alice", name), |entry| entry.id)
    }

    fn id_by(&self, sender: &str, name: &str) -> EntryId {
        EntryId::derive(
            self.conversation,
            &user(sender),
            &ClientId::new(name).unwrap(),
        )
    }

    fn session(&mut self, name: &str) -> SessionNo {
        if let Some(session) = self.sessions.get(name) {
            return *session;
        }
        let session = SessionNo::try_from(self.sessions.len()).unwrap();
        self.sessions.insert(name.into(), session);
        let what = What::Connected {
            session,
            device: session,
            user: user(name),
            node: "n".into(),
        };
        self.note(what);
        session
    }

    fn note(&mut self, what: What) {
        self.now += 10;
        self.history.records.push(Record { at: self.now, what });
    }

    fn ask(&mut self, name: &str, request: Request) -> CallNo {
        let session = self.session(name);
        self.calls += 1;
        self.note(What::Asked {
            call: self.calls,
            session,
            request,
        });
        self.calls
    }

    fn call(mut self, name: &str, request: Request, reply: Reply) -> Self {
        let call = self.ask(name, request);
        self.note(What::Answered { call, reply });
        self
    }

    fn send(&self, sender: &str, name: &str, change: Option<MemberChange>) -> Request {
        Request::Send {
            conversation: self.conversation,
            client_id: ClientId::new(name).unwrap(),
            id: self.id_by(sender, name),
            resend: false,
            change,
        }
    }

    fn store(&mut self, sender: &str, name: &str, at: u64, epoch: Epoch, body: Body) {
        let entry = Entry {
            conversation: self.conversation,
            position: Position(at),
            prev: None,
            epoch,
            id: self.id_by(sender, name),
            sender: user(sender),
            client_id: ClientId::new(name).unwrap(),
            body,
            incarnation: 0,
            relocated: false,
        };
        self.log().entries.push(entry);
        self.log().entries.sort_by_key(|entry| entry.position);
    }

    fn change(mut self, change: MemberChange) -> Self {
        let members = self.log().members.clone().unwrap();
        let epoch = Epoch(members.epoch.0 + 100);
        let name = if epoch.0 == 100 {
            "group".to_owned()
        } else {
            epoch.0.to_string()
        };
        let body = Body::Members {
            base: members.epoch,
            change: change.clone(),
        };
        self.store("alice", &name, epoch.0, epoch, body);
        let delta = members.delta(&user("alice"), &change, epoch);
        self.log().members = Some(members.with(&delta));
        let request = self.send("alice", &name, Some(change));
        let reply = Reply::Acked {
            position: Position(epoch.0),
            prev: None,
            repeat: false,
        };
        self.call("alice", request, reply)
    }

    pub(super) fn remove(self, name: &str) -> Self {
        self.change(MemberChange::Remove { user: user(name) })
    }

    pub(super) fn add(self, name: &str) -> Self {
        self.change(MemberChange::Add {
            users: vec![user(name)],
        })
    }

    pub(super) fn stored(mut self, sender: &str, name: &str, at: u64) -> Self {
        let epoch = self.log().members.as_ref().unwrap().epoch;
        self.store(sender, name, at, epoch, Body::Message(Message::text("x")));
        self
    }

    pub(super) fn acked_send(self, sender: &str, name: &str, at: u64) -> Self {
        self.stored(sender, name, at).acked_again(sender, name, at)
    }

    pub(super) fn acked_again(self, sender: &str, name: &str, at: u64) -> Self {
        let request = self.send(sender, name, None);
        self.call(
            sender,
            request,
            Reply::Acked {
                position: Position(at),
                prev: None,
                repeat: false,
            },
        )
    }

    pub(super) fn failed_send(self, sender: &str, name: &str) -> Self {
        let request = self.send(sender, name, None);
        let reply = Reply::Failed {
            kind: "Unavailable".into(),
            transient: true,
        };
        self.call(sender, request, reply)
    }

    pub(super) fn unanswered_send(mut self, sender: &str, name: &str) -> Self {
        let request = self.send(sender, name, None);
        self.ask(sender, request);
        self
    }

    pub(super) fn lost_by_store(mut self, name: &str) -> Self {
        self.log()
            .entries
            .retain(|entry| entry.client_id.as_str() != name);
        self
    }

    pub(super) fn read_taking(mut self, name: &str, us: u64, reply: Reply) -> Self {
        let request = Request::Read {
            conversation: self.conversation,
            what: "members".to_owned(),
        };
        let call = self.ask(name, request);
        self.now += us;
        self.history.records.push(Record {
            at: self.now,
            what: What::Answered { call, reply },
        });
        self
    }

    pub(super) fn mark(self, name: &str, at: u64) -> Self {
        let marks = Marks {
            delivered: Position(at),
            seen: Position(at),
        };
        let request = Request::Mark {
            conversation: self.conversation,
            marks,
        };
        self.call(name, request, Reply::Done)
    }

    pub(super) fn typed(self, name: &str) -> Self {
        let request = Request::Typing {
            conversation: self.conversation,
        };
        self.call(name, request, Reply::Done)
    }

    pub(super) fn typing(mut self, name: &str, typist: &str) -> Self {
        let session = self.session(name);
        let conversation = self.conversation;
        self.note(What::Typing {
            session,
            conversation,
            user: user(typist),
        });
        self
    }

    pub(super) fn marked(mut self, name: &str, whose: &str, at: u64) -> Self {
        let session = self.session(name);
        let marks = Marks {
            delivered: Position(at),
            seen: Position(at),
        };
        let conversation = self.conversation;
        let user = user(whose);
        self.note(What::Marked {
            session,
            conversation,
            user,
            marks,
            asked: false,
        });
        self
    }

    pub(super) fn stored_mark(mut self, name: &str, at: u64) -> Self {
        let marks = Marks {
            delivered: Position(at),
            seen: Position(at),
        };
        self.log().marks.push((user(name), marks));
        self
    }

    fn receive(mut self, name: &str, entry: &str, at: u64, prev: Option<u64>, told: bool) -> Self {
        let session = self.session(name);
        let epoch = self
            .log()
            .entries
            .iter()
            .find(|stored| stored.client_id.as_str() == entry);
        let epoch = epoch.map_or(Epoch(0), |stored| stored.epoch);
        let entry = Seen {
            conversation: self.conversation,
            id: self.id(entry),
            position: Position(at),
            prev: prev.map(Position),
            epoch: told.then_some(epoch),
        };
        self.note(What::Got {
            session,
            entry,
            via: Via::Event,
        });
        self
    }

    pub(super) fn got(self, name: &str, entry: &str, at: u64, prev: Option<u64>) -> Self {
        self.receive(name, entry, at, prev, true)
    }

    pub(super) fn got_without_epoch(self, name: &str, entry: &str, at: u64) -> Self {
        self.receive(name, entry, at, None, false)
    }

    pub(super) fn withdrawn(mut self, name: &str, entry: &str, at: u64) -> Self {
        let (session, id) = (self.session(name), self.id(entry));
        let conversation = self.conversation;
        self.note(What::Withdrawn {
            session,
            conversation,
            id,
            position: Position(at),
        });
        self
    }

    pub(super) fn moved(mut self, name: &str, from: u64, to: u64) -> Self {
        let session = self.session(name);
        let conversation = self.conversation;
        let (from, to) = (Position(from), Position(to));
        self.note(What::Moved {
            session,
            conversation,
            from,
            to,
        });
        self
    }

    pub(super) fn forgot(mut self, name: &str) -> Self {
        let device = self.session(name);
        let conversation = self.conversation;
        self.note(What::Forgot {
            device,
            conversation,
        });
        self
    }

    pub(super) fn rested(mut self, name: &str, cursor: Option<u64>) -> Self {
        let session = self.session(name);
        let cursor = cursor.map(|cursor| (self.conversation, Position(cursor)));
        self.note(What::Rested {
            session,
            cursors: cursor.into_iter().collect(),
        });
        self
    }

    pub(super) fn sample(mut self, value: u64, limit: u64) -> Self {
        self.note(What::Sample {
            name: "queue".into(),
            value,
            limit,
        });
        self
    }

    pub(super) fn panic(mut self) -> Self {
        self.note(What::Panicked {
            message: "index out of bounds".into(),
        });
        self
    }

    /// A final view with these entries, where the log has them.
    pub(super) fn shown(self, name: &str, entries: &[&str]) -> Self {
        let log = &self.history.outcome.logs[0];
        let place = |entry: &&str| {
            let stored = log
                .entries
                .iter()
                .find(|stored| stored.client_id.as_str() == *entry);
            (
                stored.map_or(Position(999_999), |stored| stored.position),
                self.id(entry),
            )
        };
        let entries = entries.iter().map(place).collect();
        self.view(name, entries)
    }

    pub(super) fn shown_at(self, name: &str, entry: &str, at: u64) -> Self {
        let entries = vec![(Position(at), self.id(entry))];
        self.view(name, entries)
    }

    fn view(mut self, name: &str, entries: Vec<(Position, EntryId)>) -> Self {
        let device = self.session(name);
        let conversation = self.conversation;
        let shown = Shown {
            user: user(name),
            device,
            conversation,
            entries,
        };
        self.history.outcome.views.push(shown);
        self
    }

    pub(super) fn cache_forgot(mut self) -> Self {
        self.history.conditions.cache_forgot = true;
        self
    }

    pub(super) fn node_killed(mut self) -> Self {
        self.history.conditions.node_killed = true;
        self
    }

    pub(super) fn patience(mut self, us: u64) -> Self {
        self.history.conditions.patience_us = us;
        self
    }

    /// What the checker says. Users whose view the story does not tell are shown all, if it tells any.
    pub(super) fn judge(&self, broken: fn(&Facts<'_>) -> Vec<String>) -> Vec<String> {
        let mut history = self.history.clone();
        let untold = |device: &SessionNo| {
            !self
                .history
                .outcome
                .views
                .iter()
                .any(|view| view.device == *device)
        };
        if !self.history.outcome.views.is_empty() {
            for (name, device) in self.sessions.iter().filter(|(_, device)| untold(device)) {
                let entries = self.history.outcome.logs[0].visible_to(&user(name));
                history.outcome.views.push(Shown {
                    user: user(name),
                    device: *device,
                    conversation: self.conversation,
                    entries: entries.map(|entry| (entry.position, entry.id)).collect(),
                });
            }
        }
        broken(&Facts::of(&history))
    }
}
