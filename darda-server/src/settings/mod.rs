//! The settings of the binary. This is the one file that reads the environment.

mod back_ends;
mod values;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use darda_core::resilience::Resilience;
use darda_core::{Options, Roles};

pub use self::back_ends::{BackEnds, Place, Server};
use self::values::{address, choice, filter, milliseconds, node, number, origins, switch, wrong};

/// One setting: its name, its default as it would be written, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// What counts if it is not set.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($constant:ident = $default:literal, $meaning:literal;)*) => {
        $(const $constant: Setting = Setting {
            name: concat!("DARDA_", stringify!($constant)),
            default: $default,
            meaning: $meaning,
        };)*

        /// Every setting.
        pub const ALL: &[Setting] = &[$($constant),*];
    };
}

settings! {
    LISTEN = "127.0.0.1:8080",
        "Address and port to listen on. Port 0 takes a free one.";
    ROLE = "both",
        "`gateway` serves clients, `writer` stores what was sent, `both` does both.";
    NODE = "",
        "The node's name, unique among nodes. Empty: drawn at start.";
    DEV_AUTH_ANYWHERE = "off",
        "`on` lets development authentication (`?id=alice`) listen on other than loopback addresses.";
    BROKER = "memory",
        "RabbitMQ, which carries entries to the writers and events between nodes: an `amqp://` or \
         `amqps://` URL. `memory`: inside this process.";
    STORE = "memory",
        "MongoDB, which keeps the logs: a `mongodb://` or `mongodb+srv://` URL. `memory`: inside this \
         process, and gone with it.";
    CACHE = "memory",
        "Redis, which gives entries their positions: a `redis://`, `rediss://`, \
         `redis+sentinel://HOST,HOST/MASTER` or `redis+cluster://HOST,HOST` URL. `memory`: inside this \
         process.";
    REGISTRY = "cache",
        "Redis, which knows who is connected where: a URL as above, `memory`, or `cache` for what \
         DARDA_CACHE says.";
    NAMESPACE = "darda",
        "Begins the names of all queues and keys and is the database's name, so that several systems \
         can share servers.";
    BROKER_CA_FILE = "",
        "PEM file with the authorities that are believed about RabbitMQ. Empty: the system's.";
    BROKER_CERTIFICATE_FILE = "",
        "PEM file with the certificate that RabbitMQ is shown.";
    BROKER_KEY_FILE = "",
        "PEM file with that certificate's key.";
    BROKER_VERIFY = "on",
        "`off` believes any server that says it is RabbitMQ. For experiments.";
    STORE_CA_FILE = "",
        "PEM file with the authorities that are believed about MongoDB. Empty: the system's.";
    STORE_CERTIFICATE_FILE = "",
        "PEM file with the certificate that MongoDB is shown.";
    STORE_KEY_FILE = "",
        "PEM file with that certificate's key.";
    STORE_VERIFY = "on",
        "`off` believes any server that says it is MongoDB. For experiments.";
    CACHE_CA_FILE = "",
        "PEM file with the authorities that are believed about Redis. Empty: the system's.";
    CACHE_CERTIFICATE_FILE = "",
        "PEM file with the certificate that Redis is shown.";
    CACHE_KEY_FILE = "",
        "PEM file with that certificate's key.";
    CACHE_VERIFY = "on",
        "`off` believes any server that says it is Redis. For experiments.";
    PERSIST_QUEUES = "8",
        "Durable queues that conversations are spread over. All nodes of a system must agree.";
    STARTUP_WAIT_MS = "10000",
        "How long a node waits at its start for servers that are away, in milliseconds. Then it starts \
         without them.";
    CALL_TIMEOUT_MS = "2000",
        "How long one attempt at a call of a server may take, in milliseconds.";
    CALL_DEADLINE_MS = "3000",
        "How long all attempts of a call may take, in milliseconds. No attempt begins that would not \
         have its whole time before that. A request waits for so long and the time of one attempt more, \
         and 5 s at least.";
    CALL_ATTEMPTS = "4",
        "Attempts at a call of a server that does not answer, the first included. `1`: no retries.";
    RETRY_PERCENT = "20",
        "Retries for each hundred calls that are answered; ten a second are granted in any case.";
    BREAKER_FAILURES = "3",
        "Calls in a row that a server must leave unanswered before it is left alone for a while.";
    BREAKER_OPEN_MS = "1000",
        "How long it is left alone before it is tried again, in milliseconds.";
    STORE_CALLS = "64",
        "Calls of the store under way at once; further ones wait for their turn.";
    ALLOWED_ORIGINS = "",
        "Origins, separated by commas, whose pages may use the server besides its own.";
    RATE_LIMITS = "on",
        "`off` switches the limits on what one user and one connection may ask off.";
    MAX_SOCKETS = "16384",
        "Connections at a time. What comes above is closed at once.";
    SESSION_QUEUE = "1024",
        "Events that wait for a slow client before it is told of a gap instead.";
    RECEIPT_WINDOW_MS = "100",
        "How long marks of what was delivered and seen are gathered before they are written and passed on, \
         in milliseconds; in proportion longer in groups of more than 50 members, 20 times at the most. \
         `0`: only while earlier ones are written.";
    WRITER_WINDOW_MS = "100",
        "How long a writer that keeps up gathers entries before it stores them, in milliseconds, from where it \
         began its last batch: the first after a pause waits for nothing, and 64 are stored without waiting for \
         more. `0`: only while earlier ones are stored. Until then the broker and the outbox keep them.";
    HEARTBEAT_MS = "25000",
        "How often a client is pinged, in milliseconds. A dead one is found after at most twice that.";
    HEADER_TIMEOUT_MS = "10000",
        "How long the head of a request may take, in milliseconds.";
    DRAIN_MS = "10000",
        "Over how long clients are moved away at SIGTERM, in milliseconds.";
    LOG = "info",
        "What is logged, as a filter: `warn`, `darda_core=debug,info`.";
    LOG_FORMAT = "text",
        "`text` or `json`.";
}

/// What the binary was told.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "see the table above")]
pub struct Settings {
    pub listen: SocketAddr,
    pub role: Roles,
    pub node: Option<String>,
    pub back_ends: BackEnds,
    pub startup_wait: Duration,
    pub resilience: Resilience,
    pub dev_auth_anywhere: bool,
    pub allowed_origins: Vec<String>,
    pub rate_limits: bool,
    pub max_sockets: usize,
    pub session_queue: usize,
    pub receipt_window: Duration,
    pub writer_window: Duration,
    pub heartbeat: Duration,
    pub header_timeout: Duration,
    pub drain: Duration,
    pub log: String,
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A setting with a value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}={value:?}: {reason}")]
pub struct WrongSetting {
    /// Its name.
    pub setting: &'static str,
    /// What was given.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// The first setting with a wrong value.
    pub fn from_environment() -> Result<Self, WrongSetting> {
        Self::read(|name| std::env::var_os(name))
    }

    /// Reads settings from wherever `get` looks.
    ///
    /// # Errors
    /// The first setting with a wrong value.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, WrongSetting> {
        let text = |setting: Setting| {
            let Some(value) = get(setting.name) else {
                return Ok(setting.default.to_owned());
            };
            value
                .into_string()
                .map_err(|value| wrong(setting, &value.to_string_lossy(), "must be UTF-8"))
        };
        let settings = Self {
            listen: address(LISTEN, &text(LISTEN)?)?,
            role: choice(
                ROLE,
                &text(ROLE)?,
                &[
                    ("both", Roles::Both),
                    ("gateway", Roles::Gateway),
                    ("writer", Roles::Writer),
                ],
            )?,
            node: Some(node(&text(NODE)?)?).filter(|name| !name.is_empty()),
            back_ends: BackEnds::read(&text)?,
            startup_wait: milliseconds(STARTUP_WAIT_MS, &text(STARTUP_WAIT_MS)?, 0)?,
            resilience: resilience(text)?,
            dev_auth_anywhere: switch(DEV_AUTH_ANYWHERE, &text(DEV_AUTH_ANYWHERE)?)?,
            allowed_origins: origins(&text(ALLOWED_ORIGINS)?)?,
            rate_limits: switch(RATE_LIMITS, &text(RATE_LIMITS)?)?,
            max_sockets: number(MAX_SOCKETS, &text(MAX_SOCKETS)?, 1, 1_000_000)?,
            session_queue: number(SESSION_QUEUE, &text(SESSION_QUEUE)?, 1, 1_000_000)?,
            receipt_window: milliseconds(RECEIPT_WINDOW_MS, &text(RECEIPT_WINDOW_MS)?, 0)?,
            writer_window: milliseconds(WRITER_WINDOW_MS, &text(WRITER_WINDOW_MS)?, 0)?,
            heartbeat: milliseconds(HEARTBEAT_MS, &text(HEARTBEAT_MS)?, 100)?,
            header_timeout: milliseconds(HEADER_TIMEOUT_MS, &text(HEADER_TIMEOUT_MS)?, 100)?,
            drain: milliseconds(DRAIN_MS, &text(DRAIN_MS)?, 0)?,
            log: filter(&text(LOG)?)?,
            log_format: choice(
                LOG_FORMAT,
                &text(LOG_FORMAT)?,
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            )?,
        };
        // A writer lets nobody in.
        if settings.role != Roles::Writer
            && !settings.listen.ip().is_loopback()
            && !settings.dev_auth_anywhere
        {
            let reason = format!(
                "the development authenticator lets anybody be anybody, so it listens on loopback \
                 only, unless {}=on",
                DEV_AUTH_ANYWHERE.name
            );
            return Err(wrong(LISTEN, &settings.listen.to_string(), reason));
        }
        Ok(settings)
    }

    /// How long a request waits: for a call that takes all its time, and for another part that is
    /// asked after it.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        let Resilience {
            timeout, deadline, ..
        } = self.resilience;
        let needed = deadline.max(timeout) + timeout;
        needed.max(Options::default().request_timeout)
    }
}

fn resilience(
    text: impl Fn(Setting) -> Result<String, WrongSetting>,
) -> Result<Resilience, WrongSetting> {
    let time = |setting: Setting| milliseconds(setting, &text(setting)?, 1);
    let count = |setting: Setting, min, max| number(setting, &text(setting)?, min, max);
    let defaults = Resilience::default();
    let percent = count(RETRY_PERCENT, 0, 1000)?;
    let patience = defaults.breaker_patience;
    let per_second = defaults.retries_per_second;
    Ok(defaults
        .with_timeout(time(CALL_TIMEOUT_MS)?)
        .with_deadline(time(CALL_DEADLINE_MS)?)
        .with_attempts(count(CALL_ATTEMPTS, 1, 100)? as u32)
        .with_retry_budget(percent as f64 / 100.0, per_second)
        .with_breaker(count(BREAKER_FAILURES, 1, 1_000_000)? as u32, patience)
        .with_open_for(time(BREAKER_OPEN_MS)?)
        .with_store_calls(count(STORE_CALLS, 1, 100_000)?))
}

/// Where a server with this process's environment listens.
///
/// # Errors
/// If that setting has a wrong value.
pub fn listen_address() -> Result<SocketAddr, WrongSetting> {
    let value = std::env::var(LISTEN.name).unwrap_or_else(|_| LISTEN.default.to_owned());
    address(LISTEN, &value)
}

/// What `--help` prints.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "darda-server: chat over WebSocket and HTTP\n\n\
         It takes no arguments but --help, --version, and healthcheck [http://HOST:PORT/PATH],\n\
         which asks a server, else the one with the same environment, whether it is well.\n\
         It is set up by the environment:\n",
    );
    for Setting {
        name,
        default,
        meaning,
    } in ALL
    {
        let default = if default.is_empty() {
            "(empty)"
        } else {
            default
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {name}  [default: {default}]\n      {meaning}\n");
    }
    text
}
