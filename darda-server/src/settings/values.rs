//! How the text of a setting becomes a value, and what is said when it cannot.

use std::net::SocketAddr;
use std::time::Duration;

use super::{ALLOWED_ORIGINS, LOG, NODE, Setting, WrongSetting};

pub(super) fn wrong(setting: Setting, value: &str, reason: impl Into<String>) -> WrongSetting {
    WrongSetting {
        setting: setting.name,
        value: value.to_owned(),
        reason: reason.into(),
    }
}

pub(super) fn address(setting: Setting, value: &str) -> Result<SocketAddr, WrongSetting> {
    value.parse().map_err(|_| {
        wrong(
            setting,
            value,
            "must be an IP address and a port, as 127.0.0.1:8080",
        )
    })
}

pub(super) fn choice<T: Copy>(
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

pub(super) fn switch(setting: Setting, value: &str) -> Result<bool, WrongSetting> {
    choice(setting, value, &[("on", true), ("off", false)])
}

pub(super) fn number(
    setting: Setting,
    value: &str,
    min: usize,
    max: usize,
) -> Result<usize, WrongSetting> {
    match value.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(wrong(
            setting,
            value,
            format!("must be a number from {min} to {max}"),
        )),
    }
}

pub(super) fn milliseconds(
    setting: Setting,
    value: &str,
    min: usize,
) -> Result<Duration, WrongSetting> {
    let day = 24 * 60 * 60 * 1000;
    number(setting, value, min, day).map(|ms| Duration::from_millis(ms as u64))
}

pub(super) fn node(value: &str) -> Result<String, WrongSetting> {
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

pub(super) fn origins(value: &str) -> Result<Vec<String>, WrongSetting> {
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

pub(super) fn filter(value: &str) -> Result<String, WrongSetting> {
    match tracing_subscriber::EnvFilter::try_new(value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => Err(wrong(LOG, value, error.to_string())),
    }
}

/// What queues, keys and a database may be called.
pub(super) fn namespace(setting: Setting, value: &str) -> Result<String, WrongSetting> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if (1..=32).contains(&value.len()) && value.chars().all(legal) {
        Ok(value.to_owned())
    } else {
        Err(wrong(
            setting,
            value,
            "must be 1 to 32 lowercase letters, digits, `-` and `_`",
        ))
    }
}
