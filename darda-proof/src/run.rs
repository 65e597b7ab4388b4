//! One run: clients under load, disturbances one after another, quiet, and a last look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{ConversationId, UserId};
use darda_sim::history::{Conditions, History, Record, What};
use darda_sim::recorder::Recorder;
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cast::Cast;
use crate::client::{Act, Client, socket};
use crate::judge::{self, Figures};
use crate::last_look;
use crate::load::Load;
use crate::probes::Probes;
use crate::report::{Report, Stage};
use crate::system::{Doors, Http, StoreReader, System};
use crate::wire::MembersReply;
use crate::wishes::Wishes;
use crate::{Result, say};

/// No call may take longer: the engine answers within its time limits, here with two busy cores.
const PATIENCE: Duration = Duration::from_secs(15);
/// Until everybody has joined and attached.
const SETUP: Duration = Duration::from_secs(60);
/// After a disturbance it is said what is missing, if the system is not whole within this.
const SLOW: Duration = Duration::from_secs(10);
/// After a disturbance the system is whole within this, or the scenario fails.
const WHOLE: Duration = Duration::from_secs(60);
/// At the end, everything is answered and caught up within this.
const SETTLE: Duration = Duration::from_secs(90);
/// Heads are told every half a minute: until then a session may not know that it missed the last.
const HEADS: Duration = Duration::from_secs(40);
/// Less of what users wrote may not be acknowledged, or the run proves nothing.
const LEAST_ACKED: f64 = 0.6;

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) system: System,
    pub(crate) conditions: Conditions,
    pub(crate) rng: Rng,
    wishes: Wishes,
    recorder: Recorder,
    records: Vec<Record>,
    cast: Arc<Cast>,
    clients: Vec<Arc<Client>>,
    tasks: JoinSet<()>,
    load: Option<Load>,
    probes: Arc<Probes>,
    reader: StoreReader,
    healed: Instant,
    began: Instant,
    report: Report,
}

impl Run {
    /// Connects the clients, opens the conversations and begins the load. `round` tells several runs
    /// in one system apart.
    pub(crate) async fn begin(
        name: &str,
        mut system: System,
        wishes: &Wishes,
        round: usize,
    ) -> Result<Self> {
        let mut rng = Rng::with_seed(wishes.seed.wrapping_add(round as u64));
        let cast = Arc::new(Cast::draw(wishes.size, round, &mut rng)?);
        let (recorder, probes) = (Recorder::new(), Arc::new(Probes::default()));
        let reader = system.store_reader().await?;
        let clients: Vec<_> = (0..)
            .zip(&cast.users)
            .map(|(no, user)| {
                let (doors, probes) = (system.doors.clone(), probes.clone());
                Client::new(
                    no,
                    user.clone(),
                    rng.u64(..),
                    recorder.clone(),
                    doors,
                    probes,
                )
            })
            .collect();
        let mut tasks = JoinSet::new();
        for client in &clients {
            tasks.spawn(socket::live(client.clone()));
        }
        let now = Instant::now();
        let mut run = Self {
            system,
            conditions: Conditions {
                patience_us: micros(PATIENCE),
                ..Conditions::default()
            },
            rng,
            wishes: wishes.clone(),
            recorder,
            records: Vec::new(),
            cast,
            clients,
            tasks,
            load: None,
            probes,
            reader,
            healed: now,
            began: now,
            report: Report::new(name, wishes.seed),
        };
        run.open_conversations().await?;
        let seed = run.rng.u64(..);
        let load = Load::start(run.cast.clone(), run.clients.clone(), wishes.rate, seed);
        run.load = Some(load);
        Ok(run)
    }

    async fn open_conversations(&mut self) -> Result<()> {
        let since = self.began;
        until(SETUP, "not every client connects", || {
            self.clients
                .iter()
                .all(|client| client.has_session_since(since) && client.is_settled())
        })
        .await?;
        for talk in &self.cast.talks {
            let first = &self.clients[talk.core[0]];
            let act = match &talk.group {
                Some(name) => Act::Create {
                    name: name.clone(),
                    members: talk.core[1..]
                        .iter()
                        .map(|at| self.cast.users[*at].clone())
                        .collect(),
                    joining: talk.joining,
                },
                None => Act::Open {
                    user: self.cast.users[talk.core[1]].clone(),
                },
            };
            if !first.act(&act) {
                return Err("a conversation cannot be opened".into());
            }
        }
        let opened = |talk: &crate::cast::Talk| self.clients[talk.core[0]].is_in(talk.conversation);
        until(SETUP, "not every conversation opens", || {
            self.cast.talks.iter().all(opened)
        })
        .await?;
        // A direct conversation comes into being with its first message.
        for talk in self.cast.talks.iter().filter(|talk| talk.group.is_none()) {
            let conversation = talk.conversation;
            self.clients[talk.core[0]].act(&Act::Say { conversation });
        }
        let everybody = |talk: &crate::cast::Talk| {
            talk.core
                .iter()
                .all(|at| self.clients[*at].is_in(talk.conversation))
        };
        until(
            SETUP,
            "not every member learns of its conversations",
            || self.cast.talks.iter().all(everybody),
        )
        .await
    }

    /// Lets the load go on for a while.
    pub(crate) async fn go_on(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// The pause between disturbances that the command line asks for.
    pub(crate) async fn pause(&self, stages: u64) {
        sleep(Duration::from_millis(
            self.wishes.seconds * 1000 / (stages + 1),
        ))
        .await;
    }

    /// Half of the clients change their gateway.
    pub(crate) fn spread(&mut self) {
        for client in &self.clients {
            if self.rng.bool() {
                client.leave();
            }
        }
    }

    /// Disturbs the system, then waits until it is whole again. Returns what happened meanwhile.
    ///
    /// # Errors
    /// When the disturbance could not be made.
    pub(crate) async fn stage(
        &mut self,
        name: &str,
        disturb: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<Figures> {
        let from = self.now();
        disturb(self)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        self.healed = Instant::now();
        let healed = self.now();
        let (whole, stored, missing) = self.whole().await?;
        let to = self.now();
        self.absorb();
        let figures = Figures::of(&self.records, from, to);
        let stage = Stage {
            name: name.to_owned(),
            disturbed: Duration::from_micros(healed - from),
            whole,
            stored,
            figures,
        };
        say(&stage.to_string());
        if whole.is_none() {
            self.report.fail(format!(
                "{name}: not whole again within {WHOLE:?}: {missing}"
            ));
        } else if stored.is_none() {
            self.report
                .fail(format!("{name}: not stored within {WHOLE:?}"));
        }
        self.report.stages.push(stage);
        Ok(figures)
    }

    /// What has to be true, or the scenario did not do what it says.
    pub(crate) fn expect(&mut self, is_so: bool, what: impl Into<String>) {
        if !is_so {
            self.report.fail(what.into());
        }
    }

    fn now(&self) -> u64 {
        micros(self.recorder.start().elapsed())
    }

    fn absorb(&mut self) {
        self.records.extend(self.recorder.take());
    }

    /// Waits until a message in every conversation is acknowledged, seen by all members, and stored.
    /// Returns how long both took since the disturbance ended.
    async fn whole(&mut self) -> Result<(Option<Duration>, Option<Duration>, String)> {
        let deadline = self.healed + WHOLE;
        self.change_members(false);
        // Who is a member must not change while it is asked who sees it.
        while self.clients.iter().any(|client| client.is_changing()) && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        self.probes.clear();
        for talk in &self.cast.talks {
            let conversation = talk.conversation;
            self.clients[talk.core[0]].act(&Act::Probe { conversation });
        }
        let members = self.members().await?;
        let missing = |probes: &Probes| {
            let missing = probes.missing(&members);
            missing.into_iter().take(5).collect::<Vec<_>>().join("; ")
        };
        let mut is_slow = false;
        let whole = loop {
            if let Some(whole) = self.probes.whole(&members) {
                break Some(whole.saturating_duration_since(self.healed));
            }
            if Instant::now() > deadline {
                break None;
            }
            if !is_slow && self.healed.elapsed() > SLOW {
                is_slow = true;
                say(&format!(
                    "    after {SLOW:?} there is missing: {}",
                    missing(&self.probes)
                ));
            }
            sleep(Duration::from_millis(20)).await;
        };
        let missing = missing(&self.probes);
        let stored = match whole {
            Some(_) => self.stored(deadline).await?,
            None => None,
        };
        self.change_members(true);
        Ok((whole, stored, missing))
    }

    fn change_members(&self, yes: bool) {
        if let Some(load) = &self.load {
            load.change_members(yes);
        }
    }

    async fn members(&mut self) -> Result<BTreeMap<ConversationId, BTreeSet<UserId>>> {
        let mut http = loop {
            if let Some(door) = self.system.doors.pick(&mut self.rng, None) {
                let http = Http::to(door);
                if http.is_there().await {
                    break http;
                }
            }
            sleep(Duration::from_millis(200)).await;
        };
        let mut members = BTreeMap::new();
        for talk in &self.cast.talks {
            let path = format!("/v1/conversations/{}/members", talk.conversation);
            let read: Option<MembersReply> =
                http.read(&self.cast.users[talk.core[0]], &path).await?;
            let users = read
                .into_iter()
                .flat_map(|read| read.members)
                .map(|member| member.user);
            members.insert(talk.conversation, users.collect());
        }
        Ok(members)
    }

    /// How long until the probes are in the store.
    async fn stored(&mut self, deadline: Instant) -> Result<Option<Duration>> {
        let mut waiting: BTreeMap<_, _> = self.probes.kept().into_iter().collect();
        let mut http = Http::to(self.reader.address);
        while Instant::now() < deadline {
            for talk in &self.cast.talks {
                let Some((id, from)) = waiting.get(&talk.conversation) else {
                    continue;
                };
                let reader = &self.cast.users[talk.core[0]];
                if last_look::holds(&mut http, reader, talk.conversation, *from, *id).await? {
                    waiting.remove(&talk.conversation);
                }
            }
            if waiting.is_empty() {
                return Ok(Some(self.healed.elapsed()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(None)
    }

    /// Ends the load, waits until all is quiet and stored, and judges everything.
    ///
    /// # Errors
    /// When it cannot be read what there is to judge.
    pub(crate) async fn finish(mut self) -> Result<(System, Report)> {
        let acked_from = self.now();
        let load = self.load.take();
        let wanted = load.as_ref().map_or(0, Load::wanted);
        self.report.skipped = load.as_ref().map_or(0, Load::skipped);
        drop(load);
        self.settle().await;
        let mut http = Http::to(self.reader.address);
        let logs = self.all_stored(&mut http).await?;
        self.rest(&logs).await;

        let fresh = self.system.fresh_gateway().await?;
        let open = self.system.addresses();
        let last = fresh.as_ref().map_or(open[0], crate::system::Node::address);
        if fresh.is_some() {
            self.system.doors.only(last);
        }
        let left = Instant::now();
        self.clients.iter().for_each(|client| client.leave());
        let back = || {
            self.clients
                .iter()
                .all(|it| it.has_session_since(left) && it.is_settled())
        };
        if until(SETTLE, "", back).await.is_err() {
            self.clients
                .iter()
                .filter(|it| !it.is_settled())
                .for_each(|it| it.note_unsettled());
        }

        let logs = last_look::logs(&mut http, &self.cast).await?;
        let mut history = History {
            conditions: self.conditions,
            ..History::default()
        };
        history.outcome.views = self
            .clients
            .iter()
            .flat_map(|client| client.shown())
            .collect();
        let mut http = Http::to(last);
        history.outcome.reads = last_look::reads(&mut http, &self.cast, &logs).await?;
        history.outcome.logs = logs;
        self.tasks.shutdown().await;
        self.clients.iter().for_each(|client| client.end());
        for message in self.system.panics() {
            self.recorder.note(What::Panicked { message });
        }
        self.absorb();
        history.records = std::mem::take(&mut self.records);
        self.restore_doors(&open);
        if let Some(file) = &self.wishes.json {
            std::fs::write(file, serde_json::to_vec(&history)?)?;
        }

        let verdict = judge::judge(&history);
        let ended = micros(self.recorder.start().elapsed());
        self.report.whole = Figures::of(&history.records, 0, acked_from.min(ended));
        let share = self.report.whole.acked as f64 / (wanted as f64).max(1.0);
        if share < LEAST_ACKED || wanted == 0 {
            let acked = self.report.whole.acked;
            self.report.fail(format!(
                "it proves nothing: {acked} of {wanted} sends were acknowledged"
            ));
        }
        self.report.broken = judge::tell(&history, &verdict.violations);
        self.report.took = self.began.elapsed();
        self.report.verdict = Some(verdict);
        say(&self.report.to_string());
        Ok((self.system, self.report))
    }

    fn restore_doors(&self, open: &[std::net::SocketAddr]) {
        if let Some((first, others)) = open.split_first() {
            let doors: &Doors = &self.system.doors;
            // In memory they may stand behind a proxy.
            if self.system.back.is_some() {
                doors.only(*first);
                others.iter().for_each(|door| doors.open(*door));
            }
        }
    }

    /// Waits until every send has its answer and everybody has caught up.
    async fn settle(&mut self) {
        let settled = || self.clients.iter().all(|client| client.is_settled());
        if until(SETTLE, "", settled).await.is_err() {
            for client in self.clients.iter().filter(|client| !client.is_settled()) {
                client.note_unsettled();
            }
        }
    }

    /// Waits until all that was acknowledged is stored, or until it no longer can be.
    async fn all_stored(&mut self, http: &mut Http) -> Result<Vec<darda_sim::history::Log>> {
        self.absorb();
        let acked = judge::acked(&self.records);
        let deadline = Instant::now() + SETTLE;
        loop {
            let logs = last_look::logs(http, &self.cast).await?;
            let stored: BTreeSet<_> = logs
                .iter()
                .flat_map(|log| &log.entries)
                .map(|entry| entry.id)
                .collect();
            if acked.is_subset(&stored) || Instant::now() > deadline {
                return Ok(logs);
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Waits until the sessions that lived on know all there is, and writes down what they know.
    async fn rest(&self, logs: &[darda_sim::history::Log]) {
        let newest: Vec<_> = self
            .clients
            .iter()
            .map(|client| (client, last_look::heads(logs, &client.user)))
            .collect();
        let know = || {
            newest.iter().all(|(client, heads)| {
                heads
                    .iter()
                    .all(|(at, head)| client.cursor(*at).is_some_and(|it| it >= *head))
            })
        };
        // If not, the checker says who does not.
        let _ = until(HEADS, "", know).await;
        self.clients
            .iter()
            .for_each(|client| client.note_rest(self.healed));
    }
}

/// Waits until something is so.
async fn until(within: Duration, or: &str, so: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + within;
    while !so() {
        if Instant::now() > deadline {
            return Err(or.into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
