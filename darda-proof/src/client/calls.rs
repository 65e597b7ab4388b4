//! Commands and their replies: each reply is told to whoever asked.

use darda_core::model::ConversationId;
use darda_sim::history::{Reply, Request};
use darda_sim::recorder::UnderWay;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::catch_up::{Asked, Reading};
use super::state::State;
use crate::wire::Failure;

/// A command that waits for its reply.
#[derive(Debug)]
pub(crate) struct Call {
    under_way: UnderWay,
    pub(super) purpose: Purpose,
}

/// What a reply is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    Ping,
    List {
        found: Vec<ConversationId>,
    },
    Resume {
        cursors: Vec<Asked>,
    },
    Attach(Reading),
    /// Pages through a gap.
    Page(Reading),
    /// A page that is looked at and not kept.
    Glance,
    /// An entry that was withdrawn stands elsewhere.
    Moved(ConversationId),
    Send {
        number: u64,
    },
    Receipts {
        conversation: ConversationId,
    },
    Open,
    /// Nothing follows from the reply.
    Nothing,
}

impl Call {
    /// Whether settling does not wait for it.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.purpose, Purpose::Ping)
    }

    /// Whether it asks for receipts.
    pub(crate) fn asks_receipts(&self) -> bool {
        matches!(self.purpose, Purpose::Receipts { .. })
    }
}

pub(crate) fn parse<T: DeserializeOwned>(ok: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(ok.get()).map_err(|error| Failure {
        // Judged as a defect of the server: a reply is not what the protocol says.
        code: "internal".to_owned(),
        message: format!("the reply is not understood: {error}"),
        retry_after_ms: None,
    })
}

impl State {
    /// Asks the server for something.
    pub(super) fn ask(&mut self, cmd: &str, mut fields: Value, request: Request, purpose: Purpose) {
        let id = self.number();
        fields["id"] = id.into();
        fields["cmd"] = cmd.into();
        let under_way = self.recorder.ask(self.session(), request);
        self.calls.insert(id, Call { under_way, purpose });
        self.out.push(fields.to_string());
    }

    pub(super) fn ping(&mut self) {
        let request = Request::Other {
            what: "ping".to_owned(),
        };
        self.ask(
            "ping",
            Value::Object(serde_json::Map::new()),
            request,
            Purpose::Ping,
        );
    }

    /// A reply came. What is understood of it is what was answered.
    pub(super) fn answered(&mut self, id: u64, answer: Result<&RawValue, Failure>) {
        let Some(Call { under_way, purpose }) = self.calls.remove(&id) else {
            return;
        };
        // The end is written down before what follows from it.
        let (reply, then): (Reply, Then) = match (purpose, answer) {
            (Purpose::Send { number }, answer) => {
                let answer = answer.and_then(parse);
                let reply = match &answer {
                    Ok(ack) => super::sending::acked(ack),
                    Err(failure) => failed(failure),
                };
                (
                    reply,
                    Box::new(move |state| state.send_answered(number, answer)),
                )
            }
            (Purpose::List { found }, answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.listed(found, answer)),
                )
            }
            (Purpose::Resume { cursors }, answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.resumed(&cursors, answer)),
                )
            }
            (Purpose::Attach(reading), answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.attached(reading, answer)),
                )
            }
            (Purpose::Page(reading), answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.paged(reading, answer)),
                )
            }
            (Purpose::Glance, answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.glanced(answer)),
                )
            }
            (Purpose::Moved(conversation), answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.moved(conversation, answer)),
                )
            }
            (Purpose::Receipts { conversation }, answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.receipts_read(conversation, answer)),
                )
            }
            (Purpose::Open, answer) => {
                let answer = answer.and_then(parse);
                (
                    outcome(&answer),
                    Box::new(move |state| state.opened(answer)),
                )
            }
            (Purpose::Ping | Purpose::Nothing, answer) => (outcome(&answer), Box::new(|_| {})),
        };
        under_way.end(reply);
        then(self);
    }
}

type Then = Box<dyn FnOnce(&mut State)>;

fn outcome<T>(answer: &Result<T, Failure>) -> Reply {
    match answer {
        Ok(_) => Reply::Done,
        Err(failure) => failed(failure),
    }
}

fn failed(failure: &Failure) -> Reply {
    Reply::Failed {
        kind: failure.kind(),
        transient: failure.retry_after_ms.is_some(),
    }
}
