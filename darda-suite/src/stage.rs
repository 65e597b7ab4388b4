//! Plays one scenario: a server, and a device behind a proxy for each of its names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::device::{Device, Given, Plan};
use crate::history::history;
use crate::judge::{Verdict, judge};
use crate::proxy::Proxy;
use crate::scenario::{Act, BACK_ENDS, Scenario, ServerAct, Step, user};
use crate::server::{self, Server};

/// For one step: far above what any takes on a machine that is busy with something else.
const STEP: Duration = Duration::from_secs(60);
/// After everything came: for what comes twice.
const AFTER: Duration = Duration::from_millis(250);
const POLL: Duration = Duration::from_millis(30);

/// How a scenario went.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// With what is missing.
    Skipped(String),
    /// With what was wrong, and where the logs are.
    Failed(Vec<String>, PathBuf),
}

/// What plays a scenario.
#[derive(Debug)]
struct Stage<'a> {
    scenario: &'a Scenario,
    server_plan: server::Plan,
    server: Option<Server>,
    devices: BTreeMap<String, (Device, Proxy)>,
    conversations: BTreeMap<(String, String), String>,
    texts: usize,
}

/// Plays a scenario with a subject.
pub(crate) async fn play(
    scenario: &Scenario,
    subject: &str,
    binary: &Path,
    back_ends: Option<&[(String, String)]>,
) -> Result<Outcome> {
    let needs_back_ends = scenario.needs.iter().any(|need| need == BACK_ENDS);
    if needs_back_ends && back_ends.is_none() {
        return Ok(Outcome::Skipped("DARDA_TEST_…_URL".to_owned()));
    }
    let directory = TempDir::with_prefix("darda-suite-")?;
    let mut settings = vec![
        ("DARDA_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("DARDA_RATE_LIMITS".to_owned(), "off".to_owned()),
        ("DARDA_HEARTBEAT_MS".to_owned(), "2000".to_owned()),
        ("DARDA_DRAIN_MS".to_owned(), "1000".to_owned()),
        ("DARDA_LOG".to_owned(), "info,darda_core=debug".to_owned()),
    ];
    if needs_back_ends {
        settings.extend(back_ends.unwrap_or_default().iter().cloned());
        let own = directory
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let namespace = own.to_lowercase().replace('-', "_");
        settings.push(("DARDA_NAMESPACE".to_owned(), namespace));
    }
    settings.extend(scenario.server.clone());
    let mut stage = Stage {
        scenario,
        server_plan: server::Plan {
            binary: binary.to_owned(),
            settings,
            directory: directory.path().to_owned(),
        },
        server: None,
        devices: BTreeMap::new(),
        conversations: BTreeMap::new(),
        texts: 0,
    };
    let played = stage.play(subject, directory.path()).await;
    let faults = match played {
        Ok(Some(missing)) => return Ok(Outcome::Skipped(missing)),
        Ok(None) => stage.verdict().await.faults,
        Err(error) => vec![error.to_string()],
    };
    if faults.is_empty() {
        return Ok(Outcome::Passed);
    }
    stage.write_down(directory.path())?;
    Ok(Outcome::Failed(faults, directory.keep()))
}

impl Stage<'_> {
    /// Plays all steps. What the subject cannot, if that is needed.
    async fn play(&mut self, subject: &str, directory: &Path) -> Result<Option<String>> {
        let server = Server::start(&self.server_plan).await?;
        for name in &self.scenario.devices {
            let proxy = Proxy::start(server.port()).await?;
            let file = name.replace('/', "-");
            let storage = directory.join(format!("{file}.storage"));
            std::fs::create_dir(&storage)?;
            let plan = Plan {
                command: subject.to_owned(),
                url: format!("ws://127.0.0.1:{}/v1/ws?id={}", proxy.port(), user(name)),
                storage,
                speed: self.scenario.speed,
                log: directory.join(format!("{file}.log")),
            };
            self.devices
                .insert(name.clone(), (Device::new(name, plan), proxy));
        }
        self.server = Some(server);
        for (device, _) in self.devices.values_mut() {
            timed(&format!("{} starts", device.name), device.start()).await??;
            let seen = device.seen();
            let can = seen
                .last()
                .and_then(|life| life.can.clone())
                .unwrap_or_default();
            let missing = self
                .scenario
                .needs
                .iter()
                .find(|need| *need != BACK_ENDS && !can.contains(need));
            if let Some(missing) = missing {
                return Ok(Some(missing.clone()));
            }
            timed(
                &format!("{} gets online", device.name),
                device.wait_for("online"),
            )
            .await??;
        }
        for (number, step) in self.scenario.steps.iter().enumerate() {
            let what = format!("step {}: {step:?}", number + 1);
            timed(&what, self.step(step))
                .await?
                .map_err(|error| format!("{what}: {error}"))?;
        }
        Ok(None)
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Pause { sleep_ms } => sleep(Duration::from_millis(*sleep_ms)).await,
            Step::Server { server } => self.serve(*server).await?,
            Step::Proxy { on, fault } => {
                let (device, proxy) = self.devices.get_mut(on).ok_or("no such device")?;
                device.set_mark();
                proxy.do_to(*fault);
            }
            Step::Subject { on, act } => {
                if let Act::Send { to, texts, bytes } = act {
                    return self.send(on, to, *texts, *bytes).await;
                }
                let (device, _) = self.devices.get_mut(on).ok_or("no such device")?;
                act_on(device, act).await?;
            }
        }
        Ok(())
    }

    async fn serve(&mut self, act: ServerAct) -> Result<()> {
        for (device, _) in self.devices.values_mut() {
            device.set_mark();
        }
        match act {
            ServerAct::Start => {
                let server = Server::start(&self.server_plan).await?;
                for (_, proxy) in self.devices.values() {
                    proxy.leads_to(server.port());
                }
                self.server = Some(server);
            }
            ServerAct::Drain => {
                let server = self.server.as_ref().ok_or("no server runs")?;
                server.signal(Signal::TERM)?;
            }
            ServerAct::Stop | ServerAct::Kill => {
                let server = self.server.take().ok_or("no server runs")?;
                let kill = matches!(act, ServerAct::Kill);
                server.signal(if kill { Signal::KILL } else { Signal::TERM })?;
                server.ended().await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, on: &str, to: &str, texts: usize, bytes: usize) -> Result<()> {
        let mut pair = [user(on).to_owned(), to.to_owned()];
        pair.sort();
        let [a, b] = pair;
        let (device, _) = self.devices.get_mut(on).ok_or("no such device")?;
        let conversation = match self.conversations.get(&(a.clone(), b.clone())) {
            Some(known) => known.clone(),
            None => {
                let opened = device.tell(json!({"do": "direct", "user": to})).await?;
                let id = opened["conversation"].as_str().ok_or("no conversation")?;
                self.conversations.insert((a, b), id.to_owned());
                id.to_owned()
            }
        };
        let mut begun = Vec::new();
        for _ in 0..texts {
            self.texts += 1;
            let text = format!("{on} {:04}", self.texts);
            let text = format!("{text:.<bytes$}");
            let command = json!({"do": "send", "conversation": conversation, "text": text});
            begun.push((device.begin(command).await?, text));
        }
        for (number, text) in begun {
            device.answer(number).await?;
            let conversation = conversation.clone();
            device.note_given(Given { conversation, text });
        }
        Ok(())
    }

    /// Waits until everything is as it should be, at most as long as the scenario allows, and says what
    /// is not.
    async fn verdict(&mut self) -> Verdict {
        let began = tokio::time::Instant::now();
        loop {
            let mut verdict = self.look().await;
            if verdict.faults.is_empty() {
                sleep(AFTER).await;
                verdict = self.look().await;
                if verdict.faults.is_empty() {
                    return verdict;
                }
            }
            if began.elapsed() > self.scenario.patience() || verdict.is_final {
                return verdict;
            }
            sleep(POLL).await;
        }
    }

    async fn look(&mut self) -> Verdict {
        let mut histories = BTreeMap::new();
        let port = self.server.as_ref().map_or(0, Server::port);
        for ((a, _), conversation) in &self.conversations {
            match history(port, a, conversation).await {
                Ok(Some(entries)) => {
                    histories.insert(conversation.clone(), entries);
                }
                Ok(None) => {}
                Err(error) => return Verdict::not_yet(format!("history: {error}")),
            }
        }
        let devices = self.devices.values_mut().map(|(device, _)| {
            device.note_if_gone();
            (device.name.clone(), (device.seen(), device.is_alive()))
        });
        let devices: BTreeMap<_, _> = devices.collect();
        judge(self.scenario, &devices, &histories, &self.conversations)
    }

    /// Leaves what was reported beside the logs.
    fn write_down(&self, directory: &Path) -> Result<()> {
        for (device, _) in self.devices.values() {
            let file = directory.join(format!("{}.seen", device.name.replace('/', "-")));
            std::fs::write(file, format!("{:#?}", device.seen()))?;
        }
        Ok(())
    }
}

async fn act_on(device: &mut Device, act: &Act) -> Result<()> {
    match act {
        Act::Send { .. } => {}
        Act::Pause => drop(device.tell(json!({"do": "pause"})).await?),
        Act::Continue => drop(device.tell(json!({"do": "continue"})).await?),
        Act::Clock { by_ms } => {
            drop(device.tell(json!({"do": "clock", "by_ms": by_ms})).await?);
        }
        Act::Stop => device.end(false).await?,
        Act::Kill => device.end(true).await?,
        Act::Start => {
            device.set_mark();
            device.start().await?;
        }
        Act::Freeze => device.signal(Signal::STOP)?,
        Act::Thaw => {
            device.set_mark();
            device.signal(Signal::CONT)?;
        }
        Act::Wait { r#for } => device.wait_for(r#for).await?,
        Act::WaitAcked { count } => {
            device
                .until(|seen| seen.lives.iter().map(|it| it.acked.len()).sum::<usize>() >= *count)
                .await?;
        }
        Act::WaitEntries { count } => {
            device
                .until(|seen| seen.lives.iter().map(|it| it.entries.len()).sum::<usize>() >= *count)
                .await?;
        }
    }
    Ok(())
}

async fn timed<F: Future>(what: &str, future: F) -> Result<F::Output> {
    let done = timeout(STEP, future).await;
    done.map_err(|_| format!("{what}: not within {} s", STEP.as_secs()).into())
}
