//! How it stands with the server, in words that can be shown as they are.

use std::fmt;

/// How it stands with the server. Its `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What a program acts on.
    pub state: State,
    reason: Option<&'static str>,
}

/// What a program acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Not connected yet since the start.
    Connecting,
    /// Connected, and nothing is known to be missing.
    Online,
    /// Connected, and what was missed is still being fetched.
    Behind,
    /// The connection is lost, and another one is tried for. What the app sends waits.
    Offline,
    /// The server does not let this user in, or the storage is another user's. It is not tried again
    /// until [`Client::reconnect`](crate::Client::reconnect).
    Refused,
    /// The client was closed.
    Stopped,
}

const MENDED: &str = "the server does not understand this app, which is to be mended";
const NOT_LET_IN: &str = "the server does not let this user in; sign in again";
pub(crate) const OTHER_USER: &str = "what waits to be sent belongs to another user";

/// Close codes of the protocol.
pub(crate) mod close {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const RESTARTS: u16 = 1012;
    pub(crate) const FULL: u16 = 1013;
    pub(crate) const UNAUTHENTICATED: u16 = 4401;
    pub(crate) const SILENT: u16 = 4408;
    pub(crate) const FLOODING: u16 = 4429;
    /// What only another version of this client can help.
    pub(crate) const NOT_UNDERSTOOD: [u16; 4] = [1002, 1003, 1009, 4400];
}

/// Why a connection ended, for people.
pub(crate) fn reason(code: u16) -> Option<&'static str> {
    match code {
        close::UNAUTHENTICATED => Some(NOT_LET_IN),
        close::RESTARTS => Some("the server restarts"),
        close::FULL => Some("the server is full"),
        close::SILENT => Some("the server heard nothing of this device"),
        close::FLOODING => Some("this device sent too much at once"),
        code if close::NOT_UNDERSTOOD.contains(&code) => Some(MENDED),
        _ => None,
    }
}

impl Status {
    pub(crate) fn new(state: State, reason: Option<&'static str>) -> Self {
        Self { state, reason }
    }

    /// Why, where the server or this client said it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Connecting => formatter.write_str("Connecting")?,
            State::Online => formatter.write_str("Online")?,
            State::Behind => formatter.write_str("Online, and fetching what was missed")?,
            State::Offline => formatter.write_str("Offline")?,
            State::Refused => formatter.write_str("Refused")?,
            State::Stopped => formatter.write_str("Closed")?,
        }
        if let Some(reason) = self.reason {
            write!(formatter, ": {reason}")?;
        }
        formatter.write_str(".")?;
        match self.state {
            State::Offline => formatter.write_str(" Trying again; what you send waits."),
            _ => Ok(()),
        }
    }
}
