//! The settings of the binary. This is the one file that reads the environment.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use darda_core::Roles;

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
    ALLOWED_ORIGINS = "",
        "Origins, separated by commas, whose pages may use the server besides its own.";
    RATE_LIMITS = "on",
        "`off` switches the limits on what one user and one connection may ask off.";
    MAX_SOCKETS = "16384",
        "Connections at a time. What comes above is closed at once.";
    SESSION_QUEUE = "1024",
        "Events that wait for a slow client before it is told of a gap instead.";
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "see the table above")]
pub struct Settings {
    pub listen: SocketAddr,
    pub role: Roles,
    pub node: Option<String>,
    pub dev_auth_anywhere: bool,
    pub allowed_origins: Vec<String>,
    pub rate_limits: bool,
    pub max_sockets: usize,
    pub session_queue: usize,
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
            dev_auth_anywhere: switch(DEV_AUTH_ANYWHERE, &text(DEV_AUTH_ANYWHERE)?)?,
            allowed_origins: origins(&text(ALLOWED_ORIGINS)?)?,
            rate_limits: switch(RATE_LIMITS, &text(RATE_LIMITS)?)?,
            max_sockets: number(MAX_SOCKETS, &text(MAX_SOCKETS)?, 1, 1_000_000)?,
            session_queue: number(SESSION_QUEUE, &text(SESSION_QUEUE)?, 1, 1_000_000)?,
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
        if !settings.listen.ip().is_loopback() && !settings.dev_auth_anywhere {
            let reason = format!(
                "the development authenticator lets anybody be anybody, so it listens on loopback \
                 only, unless {}=on",
                DEV_AUTH_ANYWHERE.name
            );
            return Err(wrong(LISTEN, &settings.listen.to_string(), reason));
        }
        Ok(settings)
    }
}

/// What `--help` prints.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "darda-server: chat over WebSocket and HTTP\n\n\
         It takes no arguments but --help and --version. It is set up by the environment:\n",
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

fn wrong(setting: Setting, value: &str, reason: impl Into<String>) -> WrongSetting {
    WrongSetting {
        setting: setting.name,
        value: value.to_owned(),
        reason: reason.into(),
    }
}

fn address(setting: Setting, value: &str) -> Result<SocketAddr, WrongSetting> {
    value.parse().map_err(|_| {
        wrong(
            setting,
            value,
            "must be an IP address and a port, as 127.0.0.1:8080",
        )
    })
}

fn choice<T: Copy>(
    setting: Setting,
    value: &str,
    choices: &[(&str, T)],
) -> Result<T, WrongSetting> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found.map(|(_, chosen)| *chosen).ok_or_else(|| {
        let names: Vec<_> = choices
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        wrong(
            setting,
            value,
            format!("must be one of {}", names.join(", ")),
        )
    })
}

fn switch(setting: Setting, value: &str) -> Result<bool, WrongSetting> {
    choice(setting, value, &[("on", true), ("off", false)])
}

fn number(setting: Setting, value: &str, min: usize, max: usize) -> Result<usize, WrongSetting> {
    match value.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(wrong(
            setting,
            value,
            format!("must be a number from {min} to {max}"),
        )),
    }
}

fn milliseconds(setting: Setting, value: &str, min: usize) -> Result<Duration, WrongSetting> {
    let day = 24 * 60 * 60 * 1000;
    number(setting, value, min, day).map(|ms| Duration::from_millis(ms as u64))
}

fn node(value: &str) -> Result<String, WrongSetting> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.len() <= 64 && value.chars().all(legal) {
        Ok(value.to_owned())
    } else {
        Err(wrong(
            NODE,
            value,
            "must be at most 64 letters, digits, `-`, `_` and `.`",
        ))
    }
}

fn origins(value: &str) -> Result<Vec<String>, WrongSetting> {
    let origins = value
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty());
    let origin = |origin: &str| {
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        match host {
            Some(host) if !host.is_empty() && !host.contains('/') => Ok(origin.to_owned()),
            _ => Err(wrong(
                ALLOWED_ORIGINS,
                value,
                "each must be a scheme and a host, as https://chat.example.org",
            )),
        }
    };
    origins.map(origin).collect()
}

fn filter(value: &str) -> Result<String, WrongSetting> {
    match tracing_subscriber::EnvFilter::try_new(value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => Err(wrong(LOG, value, error.to_string())),
    }
}
