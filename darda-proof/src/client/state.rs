//! What a client knows between two frames.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{ConversationId, Position, UserId};
use darda_sim::history::{DeviceNo, Reply, Request, SessionNo, Shown, What};
use darda_sim::recorder::Recorder;
use fastrand::Rng;
use tokio::time::Instant;

use super::calls::{Call, Purpose};
use super::copy::Copy;
use super::sending::Sending;
use crate::probes::Probes;

/// How long a client waits for an answer to its `ping`.
const PONG: Duration = Duration::from_secs(5);

/// What a client knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) no: DeviceNo,
    pub(super) user: UserId,
    pub(super) recorder: Recorder,
    pub(super) probes: Arc<Probes>,
    pub(super) rng: Rng,
    pub(super) link: Option<Link>,
    pub(super) talks: BTreeMap<ConversationId, Talk>,
    /// Unacknowledged sends, in the order in which they were made.
    pub(super) sends: BTreeMap<u64, Sending>,
    /// Commands that wait for their reply.
    pub(super) calls: BTreeMap<u64, Call>,
    /// Its own messages that were acknowledged, for edits and late repeats; bounded.
    pub(super) own: Vec<Sending>,
    /// Frames to send.
    pub(super) out: Vec<String>,
    /// When to give the session up.
    pub(crate) leave_at: Option<Instant>,
    /// When the list of conversations is to be read, and how often it failed.
    pub(super) list_due: Option<Instant>,
    pub(super) list_failures: u32,
    pub(super) last_session: SessionNo,
    pub(super) next: u64,
    pub(super) names: u32,
}

/// The session that lives.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) no: SessionNo,
    pub(super) since: Instant,
    heartbeat: Duration,
    heard: Instant,
    pinged: Option<Instant>,
    /// The first resume is asked for: unacknowledged sends may follow.
    pub(super) resumed: bool,
}

/// A conversation that it is a member of.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(super) copy: Copy,
    /// An attach is wanted from this time on.
    pub(super) due: Option<Instant>,
    /// An attach, or pages after one, are under way.
    pub(super) fetching: bool,
    pub(super) failures: u32,
    /// Tells it from what was known of the same conversation before it was forgotten.
    pub(super) life: u64,
}

impl State {
    pub(super) fn new(
        no: DeviceNo,
        user: UserId,
        seed: u64,
        recorder: Recorder,
        probes: Arc<Probes>,
    ) -> Self {
        Self {
            no,
            user,
            recorder,
            probes,
            rng: Rng::with_seed(seed ^ (u64::from(no) << 32)),
            link: None,
            talks: BTreeMap::new(),
            sends: BTreeMap::new(),
            calls: BTreeMap::new(),
            own: Vec::new(),
            out: Vec::new(),
            leave_at: None,
            list_due: None,
            list_failures: 0,
            last_session: 0,
            next: 1,
            names: 0,
        }
    }

    /// The server said hello.
    pub(super) fn connected(&mut self, node: String, heartbeat: Duration) {
        let (no, now) = (self.recorder.session(), Instant::now());
        self.recorder.note(What::Connected {
            session: no,
            device: self.no,
            user: self.user.clone(),
            node,
        });
        self.link = Some(Link {
            no,
            since: now,
            heartbeat,
            heard: now,
            pinged: None,
            resumed: false,
        });
        self.last_session = no;
        self.leave_at = None;
        self.list_due = Some(now);
        self.list_failures = 0;
        self.tick(now);
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        for call in std::mem::take(&mut self.calls).into_values() {
            // Where it stands will not be told again: the conversation is read anew.
            if let Purpose::Moved(conversation) = call.purpose {
                self.forget(conversation);
            }
        }
        self.out.clear();
        self.leave_at = None;
        for talk in self.talks.values_mut() {
            talk.fetching = false;
        }
        for sending in self.sends.values_mut() {
            sending.lost();
        }
        if let Some(link) = self.link.take() {
            self.recorder.note(What::Closed { session: link.no });
        }
    }

    pub(super) fn heard(&mut self) {
        if let Some(link) = &mut self.link {
            link.heard = Instant::now();
            link.pinged = None;
        }
    }

    /// Does what is due. `false`: the session is to be given up.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        if self.leave_at.is_some_and(|at| at <= now) {
            return false;
        }
        let Some(link) = &mut self.link else {
            return true;
        };
        if link.pinged.is_some_and(|at| now >= at + PONG) {
            return false;
        }
        if link.pinged.is_none() && now >= link.heard + link.heartbeat {
            link.pinged = Some(now);
            self.ping();
        }
        self.list_if_due(now);
        self.attach_if_due(now);
        self.send_if_due(now);
        true
    }

    pub(super) fn take_out(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    /// The session's number; 0 without a session.
    pub(super) fn session(&self) -> SessionNo {
        self.link.as_ref().map_or(0, |link| link.no)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Becomes a member as far as it knows; attaches from the beginning.
    pub(super) fn need(&mut self, conversation: ConversationId, after: Duration) {
        let life = self.number();
        let due = Instant::now() + after;
        let talk = self.talks.entry(conversation).or_insert_with(|| Talk {
            copy: Copy::default(),
            due: None,
            fetching: false,
            failures: 0,
            life,
        });
        talk.due = Some(talk.due.map_or(due, |old| old.min(due)));
    }

    pub(super) fn forget(&mut self, conversation: ConversationId) {
        if self.talks.remove(&conversation).is_some() {
            self.recorder.note(What::Forgot {
                device: self.no,
                conversation,
            });
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        let still = |talk: &Talk| talk.due.is_none() && !talk.fetching && !talk.copy.is_behind();
        self.link.as_ref().is_some_and(|link| link.resumed)
            && self.list_due.is_none()
            && self.sends.is_empty()
            && self.talks.values().all(still)
            && self.calls.values().all(Call::is_idle)
    }

    pub(super) fn is_changing(&self) -> bool {
        self.sends.values().any(Sending::is_change)
    }

    pub(super) fn is_in(&self, conversation: ConversationId) -> bool {
        let known = self.talks.get(&conversation);
        self.link.is_some() && known.is_some_and(|talk| talk.copy.cursor().is_some())
    }

    pub(super) fn has_session_since(&self, since: Instant) -> bool {
        self.link.as_ref().is_some_and(|link| link.since >= since)
    }

    pub(super) fn waits_for(&self) -> String {
        let fetching = self.talks.values().filter(|talk| talk.fetching).count();
        let due = self
            .talks
            .values()
            .filter(|talk| talk.due.is_some())
            .count();
        let behind = self
            .talks
            .values()
            .filter(|talk| talk.copy.is_behind())
            .count();
        format!(
            "settle: connected {}, list wanted {}, {due} to attach, {fetching} being read, {behind} \
             behind, {} unacknowledged",
            self.link.is_some(),
            self.list_due.is_some(),
            self.sends.len()
        )
    }

    pub(super) fn cursor(&self, conversation: ConversationId) -> Option<Position> {
        self.talks.get(&conversation)?.copy.cursor()
    }

    pub(super) fn note_rest(&self, since: Instant) {
        let Some(link) = self.link.as_ref().filter(|link| link.since <= since) else {
            return;
        };
        let cursor = |(conversation, talk): (&ConversationId, &Talk)| {
            talk.copy.cursor().map(|cursor| (*conversation, cursor))
        };
        self.recorder.note(What::Rested {
            session: link.no,
            cursors: self.talks.iter().filter_map(cursor).collect(),
        });
    }

    /// What never ended is a call that hung.
    pub(super) fn note_unsettled(&self) {
        let request = Request::Other {
            what: self.waits_for(),
        };
        self.recorder
            .ask(self.last_session, request)
            .end(Reply::Hung);
    }

    /// A frame that the protocol does not know of is a defect of the server.
    pub(super) fn note_strange(&self, frame: &str) {
        let frame: String = frame.chars().take(300).collect();
        let request = Request::Other {
            what: format!("a frame that the protocol does not have: {frame}"),
        };
        self.recorder
            .ask(self.last_session, request)
            .end(Reply::Failed {
                kind: "Internal".to_owned(),
                transient: false,
            });
    }

    pub(super) fn shown(&self) -> Vec<Shown> {
        let shown = |(conversation, talk): (&ConversationId, &Talk)| Shown {
            user: self.user.clone(),
            device: self.no,
            conversation: *conversation,
            entries: talk.copy.shown(),
        };
        self.talks.iter().map(shown).collect()
    }
}
