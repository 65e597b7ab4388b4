//! Settings of a client, with their defaults and limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Where the server is, and how the client behaves. Made with an address, changed with `with_…`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) address: Address,
    pub(crate) timing: Timing,
    pub(crate) start: Start,
    pub(crate) max_outbox: usize,
    pub(crate) max_updates: usize,
    pub(crate) max_gap_pages: usize,
    pub(crate) tls: Tls,
}

impl Settings {
    /// `ws://HOST/v1/ws` or `wss://HOST/v1/ws`, with whatever in its query says who the user is.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        Self::with_address(move || url.clone())
    }

    /// An address that is asked for anew before each try to connect: a token in it may run out. It is
    /// called on the client's own task and must not block.
    pub fn with_address(address: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            address: Address(Arc::new(address)),
            timing: Timing::default(),
            start: Start::default(),
            max_outbox: 1_000,
            max_updates: 1_024,
            max_gap_pages: 50,
            tls: Tls::default(),
        }
    }

    /// How long the client waits for what.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Where a device without a cursor begins.
    #[must_use]
    pub fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sends that may wait for their acknowledgement: 1,000. One more is refused as `Full`.
    #[must_use]
    pub fn with_max_outbox(mut self, items: usize) -> Self {
        self.max_outbox = items;
        self
    }

    /// Updates that may wait for the app: 1,024. Above, nothing more is fetched, and what the server
    /// pushes is left to be fetched later; marks and typing are left out.
    #[must_use]
    pub fn with_max_updates(mut self, updates: usize) -> Self {
        self.max_updates = updates;
        self
    }

    /// A gap wider than this many pages of 200 entries is not closed but told, as
    /// [`Update::Skipped`](crate::Update::Skipped): 50.
    #[must_use]
    pub fn with_max_gap_pages(mut self, pages: usize) -> Self {
        self.max_gap_pages = pages;
        self
    }

    /// Whom `wss://` believes.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }
}

/// Gives the address. Not shown: it may hold a token.
#[derive(Clone)]
pub(crate) struct Address(Arc<dyn Fn() -> String + Send + Sync>);

impl Address {
    pub(crate) fn ask(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address")
    }
}

/// Where a device without a cursor begins with a conversation. What is new since the device was once
/// caught up begins at its beginning in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the newest page; what is older is left to [`Client::history`](crate::Client::history).
    #[default]
    Newest,
    /// With the first entry that the user may see.
    Beginning,
}

/// Whom `wss://` believes: the system's authorities, and those added here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub(crate) authorities: Vec<Vec<u8>>,
}

impl Tls {
    /// Believes an authority besides the system's: its certificate in DER.
    #[must_use]
    pub fn with_authority(mut self, der: Vec<u8>) -> Self {
        self.authorities.push(der);
        self
    }
}

/// How long a client waits for what. All are the client's own; what the server asks for counts besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// At most before the first try to connect again; doubled for each one that fails: 300 ms.
    pub first_wait: Duration,
    /// At most between two tries: 30 s.
    pub longest_wait: Duration,
    /// For a connection, from its first packet to the server's hello: 10 s.
    pub connect: Duration,
    /// For the reply to a command. A send is then sent again: 10 s.
    pub reply: Duration,
    /// Without any frame, before the client asks whether the server is still there; the server's
    /// `heartbeat_ms` if that is less: 25 s.
    pub silence: Duration,
    /// For the answer to that, before the connection is given up: 5 s.
    pub answer: Duration,
    /// A missing entry may be one's own whose acknowledgement is on its way: 1 s.
    pub own_ack: Duration,
    /// Before what a part of the server could not answer is asked again: 3 s.
    pub stale: Duration,
    /// Between two times that cursors are written: 200 ms.
    pub keep_cursors: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(300),
            longest_wait: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            reply: Duration::from_secs(10),
            silence: Duration::from_secs(25),
            answer: Duration::from_secs(5),
            own_ack: Duration::from_secs(1),
            stale: Duration::from_secs(3),
            keep_cursors: Duration::from_millis(200),
        }
    }
}

impl Timing {
    /// Everything so many times shorter: five minutes in seconds, for tests.
    #[must_use]
    pub fn faster(self, times: u32) -> Self {
        let times = times.max(1);
        Self {
            first_wait: self.first_wait / times,
            longest_wait: self.longest_wait / times,
            connect: self.connect / times,
            reply: self.reply / times,
            silence: self.silence / times,
            answer: self.answer / times,
            own_ack: self.own_ack / times,
            stale: self.stale / times,
            keep_cursors: self.keep_cursors / times,
        }
    }
}
