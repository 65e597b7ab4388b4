//! Writes a history while it happens, whoever makes it: the simulation, or clients of real servers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use darda_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::history::{CallNo, Record, Reply, Request, SessionNo, What};

/// Nobody waits for longer. Far above what the engine may take, so that it means 'for ever'.
const FOR_EVER: Duration = Duration::from_secs(300);

/// Writes a history while it happens. Cheap to clone. Times are those of tokio's clock.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    calls: CallNo,
    sessions: SessionNo,
}

/// A call that is under way. Dropped without an end, it was abandoned.
#[derive(Debug)]
#[must_use = "dropped, the call counts as abandoned"]
pub struct UnderWay {
    recorder: Recorder,
    call: Option<CallNo>,
}

impl UnderWay {
    /// The call ended now, like this.
    pub fn end(mut self, reply: Reply) {
        if let Some(call) = self.call.take() {
            self.recorder.note(What::Answered { call, reply });
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.recorder.note(What::Answered {
                call,
                reply: Reply::Abandoned,
            });
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder whose time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            state: Mutex::default(),
        }))
    }

    /// When the time began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.0.start
    }

    /// Writes down that something happened now.
    pub fn note(&self, what: What) {
        let mut state = self.0.state.lock();
        // Read under the lock: what several threads write down stands in the order of time.
        let at = u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        state.records.push(Record { at, what });
    }

    /// A name for a new session.
    #[must_use]
    pub fn session(&self) -> SessionNo {
        let mut state = self.0.state.lock();
        state.sessions += 1;
        state.sessions
    }

    /// A call begins now; what is returned writes down its end.
    pub fn ask(&self, session: SessionNo, request: Request) -> UnderWay {
        let mut state = self.0.state.lock();
        state.calls += 1;
        let call = state.calls;
        drop(state);
        self.note(What::Asked {
            call,
            session,
            request,
        });
        UnderWay {
            recorder: self.clone(),
            call: Some(call),
        }
    }

    /// Makes a call and writes down its beginning and its end.
    ///
    /// # Errors
    /// The call's own, and `Unavailable` if it does not come back.
    pub(crate) async fn call<T>(
        &self,
        session: SessionNo,
        request: Request,
        reply: impl FnOnce(&T) -> Reply,
        made: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let under_way = self.ask(session, request);
        let result = tokio::time::timeout(FOR_EVER, made).await;
        let reply = match &result {
            Ok(Ok(value)) => reply(value),
            Ok(Err(error)) => Reply::Failed {
                kind: format!("{:?}", error.kind()),
                transient: error.is_transient(),
            },
            Err(_) => Reply::Hung,
        };
        under_way.end(reply);
        result.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "it never came back")))
    }

    /// What was written down since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.0.state.lock().records)
    }
}
