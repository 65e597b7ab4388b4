//! The connection that both ports share: made again whenever it is of no use any longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use darda_core::adapter::Redacted;
use darda_core::{Error, Result};
use futures::future::try_join_all;
use redis::{Cmd, FromRedisValue, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::RedisConfig;
use crate::error::{Fault, fault, of_call, of_connecting, unavailable, unexpected};
use crate::link::{Connector, Link};
use crate::script::Scripts;
use crate::server;

/// Calls in a row without an answer after which a connection is given up.
const SILENT_CALLS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Jitter adds up to as much again. What a recovery goes unnoticed costs more than an attempt a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a cluster's link stays in use at least, though calls on it fail: one server that is away
/// must not keep the others busy with connections.
const CLUSTER_PAUSE: Duration = Duration::from_secs(5);
/// How much longer than to one server connecting to a cluster may take: some may be away.
const CLUSTER_PATIENCE: u32 = 3;

/// Keeps one link alive. The task that does so ends with this value.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) scripts: Arc<Scripts>,
    state: watch::Receiver<State>,
    broken: Arc<watch::Sender<u64>>,
    timeout: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
    _stop_on_drop: DropGuard,
}

#[derive(Debug, Clone)]
enum State {
    Connecting,
    Ready(Arc<Live>),
    /// The last attempt failed; another one follows.
    Down(Error),
}

/// A link and what is known of it.
struct Live {
    number: u64,
    link: Link,
    silent: AtomicU32,
    answered: AtomicBool,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// A script with its keys and arguments.
pub(crate) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl<'a> Call<'a> {
    pub(crate) fn new<K: AsRef<[u8]>>(
        script: &'a Script,
        keys: impl IntoIterator<Item = K, IntoIter: ExactSizeIterator>,
    ) -> Self {
        let keys = keys.into_iter();
        let mut command = Cmd::with_capacity(16 + keys.len(), 512);
        command
            .arg("EVALSHA")
            .arg(script.get_hash())
            .arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        Self { script, command }
    }

    pub(crate) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn push(&mut self, argument: impl ToRedisArgs) {
        self.command.arg(argument);
    }
}

impl Connection {
    /// Begins to connect, and waits for the end of the first attempt, whatever it is.
    pub(crate) async fn start(config: &RedisConfig) -> Result<Self> {
        let connector = Connector::new(config)?;
        if !config.tls.is_verified() && config.url.starts_with("rediss") {
            tracing::warn!(
                url = %Redacted(&config.url),
                "redis' certificate is not verified: whoever sits between can read and change \
                 everything"
            );
        }
        let (state, receiver) = watch::channel(State::Connecting);
        let broken = Arc::new(watch::Sender::new(0));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let scripts = Arc::new(Scripts::new());
        let keeper = Keeper {
            connector,
            url: Redacted(&config.url).to_string(),
            timeout: config.connect_timeout,
            scripts: scripts.clone(),
            state,
            broken: broken.clone(),
        };
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(keeper.run()).await });
        tasks.close();
        let mut first = receiver.clone();
        let attempt = first.wait_for(|state| !matches!(state, State::Connecting));
        attempt.await.map_err(|_| closed())?;
        Ok(Self {
            scripts,
            state: receiver,
            broken,
            timeout: config.response_timeout,
            stop: stop.clone(),
            tasks,
            _stop_on_drop: stop.drop_guard(),
        })
    }

    /// Ends the connection. Calls fail from now on.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    /// Runs a script and reads its answer.
    pub(crate) async fn call<T: FromRedisValue>(&self, call: Call<'_>) -> Result<T> {
        let answer = self.answer(&call.command, Some(call.script)).await?;
        T::from_redis_value(answer).map_err(|error| unexpected().with_source(error))
    }

    /// Runs a command and reads its answer.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let answer = self.answer(command, None).await?;
        T::from_redis_value(answer).map_err(|error| unexpected().with_source(error))
    }

    async fn answer(&self, command: &Cmd, script: Option<&Script>) -> Result<Value> {
        let live = self.live().await?;
        let mut answer = live.link.query(command).await;
        if let (Err(error), Some(script)) = (&answer, script)
            && error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
        {
            // A server that was restarted, or promoted, or whose scripts were flushed.
            answer = match load(&live.link, script).await {
                Ok(_) => live.link.query(command).await,
                Err(error) => Err(error),
            };
        }
        self.judge(&live, &answer);
        answer.map_err(of_call)
    }

    /// The link; while it is being made, waits for it as long as for an answer.
    async fn live(&self) -> Result<Arc<Live>> {
        let ready = |state: &State| match state {
            State::Ready(live) => Some(Ok(live.clone())),
            State::Down(error) => Some(Err(error.clone())),
            State::Connecting => None,
        };
        if self.stop.is_cancelled() {
            return Err(closed());
        }
        if let Some(live) = ready(&self.state.borrow()) {
            return live;
        }
        let mut state = self.state.clone();
        let waited = timeout(self.timeout, state.wait_for(|state| ready(state).is_some())).await;
        match waited {
            Ok(Ok(state)) => ready(&state).unwrap_or_else(|| Err(closed())),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(unavailable("redis is being connected to")),
        }
    }

    /// Gives a link up that is of no use any longer.
    fn judge(&self, live: &Live, answer: &RedisResult<Value>) {
        let found = match answer {
            Ok(_) => Fault::None,
            Err(error) => fault(error),
        };
        // A cluster's link is many connections: that one server answers says nothing of the others.
        // It replaces each of them itself, if it finds out.
        let cluster = live.link.is_cluster();
        let given_up = match found {
            Fault::None => {
                if !cluster && live.silent.load(Ordering::Relaxed) > 0 {
                    live.silent.store(0, Ordering::Relaxed);
                }
                if !live.answered.load(Ordering::Relaxed) {
                    live.answered.store(true, Ordering::Relaxed);
                }
                false
            }
            Fault::Broken if !cluster => true,
            Fault::Broken | Fault::Silent => {
                live.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_CALLS
            }
        };
        if given_up {
            give_up(&self.broken, live.number);
        }
    }
}

/// Notes that a link, and all before it, are of no use any longer.
fn give_up(broken: &watch::Sender<u64>, number: u64) {
    broken.send_if_modified(|newest| {
        let news = number > *newest;
        *newest = number.max(*newest);
        news
    });
}

fn closed() -> Error {
    Error::new(
        darda_core::ErrorKind::Closed,
        "the connection to redis is closed",
    )
}

async fn load(link: &Link, script: &Script) -> RedisResult<Value> {
    match link {
        Link::Direct(connection) => script.load_async(&mut connection.clone()).await,
        Link::Cluster(connection) => script.load_async(&mut connection.clone()).await,
    }
    .map(|_| Value::Okay)
}

/// Connects, again and again.
struct Keeper {
    connector: Connector,
    url: String,
    timeout: Duration,
    scripts: Arc<Scripts>,
    state: watch::Sender<State>,
    broken: Arc<watch::Sender<u64>>,
}

impl Keeper {
    async fn run(self) {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times();
        let mut pause = pauses.build();
        let mut number = 0;
        let mut failures: u64 = 0;
        loop {
            number += 1;
            match self.attempt(number).await {
                Ok(live) => {
                    tracing::info!(url = self.url, failures, "connected to redis");
                    failures = 0;
                    let live = Arc::new(live);
                    self.state.send_replace(State::Ready(live.clone()));
                    let mut broken = self.broken.subscribe();
                    if broken.wait_for(|newest| *newest >= number).await.is_err() {
                        return;
                    }
                    tracing::warn!(url = self.url, "the connection to redis is given up");
                    if live.link.is_cluster() {
                        // The other servers go on answering until there is a new link.
                        tokio::time::sleep(CLUSTER_PAUSE).await;
                        continue;
                    }
                    self.state.send_replace(State::Connecting);
                    if live.answered.load(Ordering::Relaxed) {
                        pause = pauses.build();
                        continue;
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        let cause = std::error::Error::source(&error);
                        tracing::warn!(url = self.url, %error, cause, "redis is away");
                    }
                    let serving = matches!(&*self.state.borrow(), State::Ready(live) if live.link.is_cluster());
                    if !serving {
                        self.state.send_replace(State::Down(error));
                    }
                }
            }
            tokio::time::sleep(pause.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    async fn attempt(&self, number: u64) -> Result<Live> {
        let broken = self.broken.clone();
        let cluster = self.connector.is_cluster();
        let connect = async {
            let lost = move || give_up(&broken, number);
            let link = self.connector.connect(lost).await?;
            match self.prepare(&link).await {
                // Some of its servers may be away. Scripts are loaded when they are missed.
                Err(error) if cluster => tracing::warn!(%error, "a cluster's server is away"),
                prepared => prepared?,
            }
            Ok(link)
        };
        let limit = self.timeout * if cluster { CLUSTER_PATIENCE } else { 1 };
        let link = match timeout(limit, connect).await {
            Ok(connected) => connected.map_err(of_connecting)?,
            Err(elapsed) => {
                let late = unavailable("redis cannot be connected to in time");
                return Err(late.with_source(elapsed));
            }
        };
        Ok(Live {
            number,
            link,
            silent: AtomicU32::new(0),
            answered: AtomicBool::new(false),
        })
    }

    /// Looks at the servers, and loads the scripts.
    async fn prepare(&self, link: &Link) -> RedisResult<()> {
        server::inspect(&link.query(&redis::cmd("INFO")).await?);
        let scripts = self.scripts.all().map(|script| load(link, script));
        try_join_all(scripts).await.map(drop)
    }
}
