//! A device: a subject's processes, one after another on the same storage, and what they reported.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Result;
use crate::server::append;

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    plan: Plan,
    process: Option<Process>,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
    number: u64,
    /// How many statuses had been reported when something was last done to it.
    mark: usize,
}

/// How to start a subject.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) command: String,
    pub(crate) url: String,
    pub(crate) storage: PathBuf,
    pub(crate) speed: u32,
    pub(crate) log: PathBuf,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    reading: JoinHandle<()>,
}

/// What a device's processes reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) lives: Vec<Life>,
    pub(crate) statuses: Vec<Status>,
}

/// What one process reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    pub(crate) can: Option<Vec<String>>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) acked: Vec<Acked>,
    pub(crate) refused: Vec<Value>,
    pub(crate) moved: Vec<String>,
    pub(crate) answers: Vec<Value>,
    /// Texts that it was given and said that it keeps.
    pub(crate) given: Vec<Given>,
    /// It was killed or stopped by the scenario.
    pub(crate) ended: bool,
    /// It says nothing more.
    pub(crate) gone: bool,
    pub(crate) faults: Vec<String>,
}

/// A text that a subject keeps.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) conversation: String,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Status {
    pub(crate) state: String,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    pub(crate) conversation: String,
    pub(crate) position: u64,
    pub(crate) entry: String,
    pub(crate) sender: String,
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) late: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Acked {
    pub(crate) conversation: String,
    pub(crate) position: u64,
    pub(crate) entry: String,
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
enum Report {
    Ready { can: Vec<String> },
    Done {},
    Failed {},
    Status(Status),
    Entry(Entry),
    Acked(Acked),
    Refused {},
    Moved { entry: String },
}

impl Device {
    pub(crate) fn new(name: &str, plan: Plan) -> Self {
        Self {
            name: name.to_owned(),
            plan,
            process: None,
            seen: Arc::default(),
            changed: watch::Sender::new(()),
            number: 0,
            mark: 0,
        }
    }

    /// Starts a process and opens its client.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {}", self.plan.command)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(append(&self.plan.log)?)
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a subject without input and output".into());
        };
        lock(&self.seen).lives.push(Life::default());
        let (seen, changed) = (self.seen.clone(), self.changed.clone());
        let life = lock(&self.seen).lives.len() - 1;
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                lock(&seen).note(life, &line);
                changed.send_replace(());
            }
            if let Some(life) = lock(&seen).lives.get_mut(life) {
                life.gone = true;
            }
            changed.send_replace(());
        });
        self.process = Some(Process {
            child,
            input,
            reading,
        });
        self.until(|seen| seen.last().is_some_and(|life| life.can.is_some()))
            .await?;
        let Plan {
            url,
            storage,
            speed,
            ..
        } = self.plan.clone();
        let open = json!({"do": "open", "url": url, "storage": storage, "speed": speed});
        self.tell(open).await.map(drop)
    }

    /// Tells the subject something and waits for its answer.
    pub(crate) async fn tell(&mut self, command: Value) -> Result<Value> {
        let number = self.begin(command).await?;
        self.answer(number).await
    }

    /// Tells the subject something.
    pub(crate) async fn begin(&mut self, mut command: Value) -> Result<u64> {
        self.number += 1;
        command["n"] = self.number.into();
        let process = self.process.as_mut().ok_or("no subject runs")?;
        process
            .input
            .write_all(format!("{command}\n").as_bytes())
            .await?;
        Ok(self.number)
    }

    /// Waits for the answer to something.
    pub(crate) async fn answer(&self, number: u64) -> Result<Value> {
        let find = |seen: &Seen| {
            let answers = &seen.last()?.answers;
            answers.iter().find(|answer| answer["n"] == number).cloned()
        };
        self.until(|seen| find(seen).is_some()).await?;
        let answer = find(&lock(&self.seen)).unwrap_or_default();
        match answer["report"].as_str() {
            Some("done") => Ok(answer),
            _ => Err(format!("{}: {answer}", self.name).into()),
        }
    }

    /// A text that the subject keeps.
    pub(crate) fn note_given(&self, given: Given) {
        if let Some(life) = lock(&self.seen).lives.last_mut() {
            life.given.push(given);
        }
    }

    /// Something was done to it: what it says from now on counts.
    pub(crate) fn set_mark(&mut self) {
        self.mark = lock(&self.seen).statuses.len();
    }

    /// Waits until a status was reported since something was done to it.
    pub(crate) async fn wait_for(&mut self, state: &str) -> Result<()> {
        let mark = self.mark;
        let find = |seen: &Seen| {
            let since = seen.statuses.get(mark..)?;
            since.iter().position(|status| status.state == state)
        };
        self.until(|seen| find(seen).is_some()).await?;
        self.mark += find(&lock(&self.seen)).unwrap_or_default();
        Ok(())
    }

    /// Waits until its reports are as they should be.
    ///
    /// # Errors
    /// When its process ends before that.
    pub(crate) async fn until(&self, wanted: impl Fn(&Seen) -> bool) -> Result<()> {
        let mut changed = self.changed.subscribe();
        loop {
            let (found, gone) = {
                let seen = lock(&self.seen);
                let gone = seen.last().is_some_and(|life| life.gone);
                (wanted(&seen), gone)
            };
            if found {
                return Ok(());
            }
            if gone {
                return Err(format!("{}: the subject has ended", self.name).into());
            }
            changed.changed().await?;
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().ok_or("no subject runs")?;
        let id = process.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).ok_or("the subject has ended")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Ends its process: asks it, or kills it.
    pub(crate) async fn end(&mut self, kill: bool) -> Result<()> {
        if !kill {
            self.tell(json!({"do": "stop"})).await?;
        }
        let mut process = self.process.take().ok_or("no subject runs")?;
        if kill {
            process.child.start_kill()?;
        }
        let status = process.child.wait().await?;
        // What it had written before is read to its end.
        process.reading.await?;
        let mut seen = lock(&self.seen);
        if let Some(life) = seen.lives.last_mut() {
            life.ended = true;
            if !kill && !status.success() {
                life.faults.push(format!("stopped, it ended with {status}"));
            }
        }
        Ok(())
    }

    /// Whether its process ended by itself.
    pub(crate) fn note_if_gone(&mut self) {
        if let Some(process) = &mut self.process
            && let Ok(Some(status)) = process.child.try_wait()
            && let Some(life) = lock(&self.seen).lives.last_mut()
        {
            life.faults
                .push(format!("it ended by itself with {status}"));
        }
    }
}

impl Seen {
    pub(crate) fn last(&self) -> Option<&Life> {
        self.lives.last()
    }

    fn note(&mut self, life: usize, line: &str) {
        let Some(life) = self.lives.get_mut(life) else {
            return;
        };
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        match serde_json::from_value(value.clone()) {
            Ok(Report::Ready { can }) => life.can = Some(can),
            Ok(Report::Done {} | Report::Failed {}) => life.answers.push(value),
            Ok(Report::Status(status)) => self.statuses.push(status),
            Ok(Report::Entry(entry)) => life.entries.push(entry),
            Ok(Report::Acked(acked)) => life.acked.push(acked),
            Ok(Report::Refused {}) => life.refused.push(value),
            Ok(Report::Moved { entry }) => life.moved.push(entry),
            Err(error) => life.faults.push(format!("not a report: {error}: {line}")),
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
