//! The names of all metrics, and the handles through which the engine counts. Those of ports have the
//! label `port`. Logs go through
//! `tracing`; they hold ids, never texts.

use metrics::{Counter, Gauge, Histogram};

macro_rules! metric {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: &str = $text;)*

        /// Every name with what it says.
        pub const ALL: &[(&str, &str)] = &[$(($text, $doc)),*];
    };
}

metric! {
    SESSIONS = "darda_sessions", "Live sessions of this node.";
    SENDS = "darda_sends_total", "Entries that sessions asked to append.";
    ACKS = "darda_acks_total", "Entries acknowledged to their senders.";
    SEND_ERRORS = "darda_send_errors_total", "Sends that ended with an error.";
    REPEATS = "darda_repeats_total", "Sends that were there before.";
    DELIVERIES = "darda_deliveries_total", "Events put into sessions' queues.";
    SESSION_DROPS = "darda_session_drops_total", "Events dropped because a session was too slow.";
    GAPS = "darda_gaps_total", "Attaches that could not hand over everything at once.";
    HELD = "darda_held_total", "Entries held back for one before them that was on its way.";
    HANDOVER_DEPTH = "darda_handover_depth", "Entries of the last batch handed to the broker.";
    PUBLISH_DEPTH = "darda_publish_depth", "Live events of the last batch given to the broker.";
    PUBLISH_DROPS = "darda_publish_drops_total", "Live events dropped: queue full or broker away.";
    RELOADS = "darda_member_reloads_total", "Loads of a conversation's members from the store.";
    WRITTEN = "darda_written_total", "Entries that the writer stored.";
    WRITER_BATCH = "darda_writer_batch_entries", "Entries in a batch of the writer.";
    WRITER_REPEATS = "darda_writer_repeats_total", "Entries that the writer found stored already.";
    WRITER_WITHDRAWN = "darda_writer_withdrawn_total", "Entries taken back: stored at another position.";
    WRITER_RELOCATED = "darda_writer_relocated_total", "Entries moved to a new position.";
    WRITER_RETRIES = "darda_writer_retries_total", "Entries that the writer could not store yet.";
    WRITER_DEAD = "darda_writer_dead_total", "Entries that can never be stored.";
    REAPED = "darda_reaped_total", "Entries handed over again because they stayed unstored.";
    OUTBOX = "darda_outbox_entries", "Entries in the cache's outbox.";
    BACKLOG = "darda_backlog_entries", "Entries enqueued in the broker and not settled.";
    RECEIPTS_PENDING = "darda_receipts_pending", "Marks that wait to be written.";
    RATE_LIMITED = "darda_rate_limited_total", "Requests refused by a rate limit.";
    ATTACH_SECONDS = "darda_attach_seconds", "Time of an attach, in seconds.";
    BREAKER_STATE = "darda_port_breaker_state", "A port's breaker: 0 closed, 1 half-open, 2 open.";
    PORT_CALLS = "darda_port_calls_total", "Calls to a port, each once however often it was tried.";
    PORT_FAILURES = "darda_port_failures_total", "Attempts at a call that the port did not answer.";
    PORT_TIMEOUTS = "darda_port_timeouts_total", "Those of them that took all their time.";
    PORT_RETRIES = "darda_port_retries_total", "Repeats of calls to a port.";
    PORT_RETRIES_UNAFFORDABLE = "darda_port_retries_unaffordable_total", "Repeats left out: budget spent.";
    PORT_REJECTED = "darda_port_rejected_total", "Calls that a port's breaker refused.";
}

/// Handles, looked up once: a counter costs one addition.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) sessions: Gauge,
    pub(crate) sends: Counter,
    pub(crate) acks: Counter,
    pub(crate) send_errors: Counter,
    pub(crate) repeats: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) session_drops: Counter,
    pub(crate) gaps: Counter,
    pub(crate) held: Counter,
    pub(crate) handover_depth: Gauge,
    pub(crate) publish_depth: Gauge,
    pub(crate) publish_drops: Counter,
    pub(crate) reloads: Counter,
    pub(crate) written: Counter,
    pub(crate) writer_batch: Histogram,
    pub(crate) writer_repeats: Counter,
    pub(crate) writer_withdrawn: Counter,
    pub(crate) writer_relocated: Counter,
    pub(crate) writer_retries: Counter,
    pub(crate) writer_dead: Counter,
    pub(crate) reaped: Counter,
    pub(crate) outbox: Gauge,
    pub(crate) backlog: Gauge,
    pub(crate) receipts_pending: Gauge,
    pub(crate) rate_limited: Counter,
    pub(crate) attach_seconds: Histogram,
}

impl Instruments {
    pub(crate) fn new() -> Self {
        use metrics::{counter, gauge, histogram};
        Self {
            sessions: gauge!(SESSIONS),
            sends: counter!(SENDS),
            acks: counter!(ACKS),
            send_errors: counter!(SEND_ERRORS),
            repeats: counter!(REPEATS),
            deliveries: counter!(DELIVERIES),
            session_drops: counter!(SESSION_DROPS),
            gaps: counter!(GAPS),
            held: counter!(HELD),
            handover_depth: gauge!(HANDOVER_DEPTH),
            publish_depth: gauge!(PUBLISH_DEPTH),
            publish_drops: counter!(PUBLISH_DROPS),
            reloads: counter!(RELOADS),
            written: counter!(WRITTEN),
            writer_batch: histogram!(WRITER_BATCH),
            writer_repeats: counter!(WRITER_REPEATS),
            writer_withdrawn: counter!(WRITER_WITHDRAWN),
            writer_relocated: counter!(WRITER_RELOCATED),
            writer_retries: counter!(WRITER_RETRIES),
            writer_dead: counter!(WRITER_DEAD),
            reaped: counter!(REAPED),
            outbox: gauge!(OUTBOX),
            backlog: gauge!(BACKLOG),
            receipts_pending: gauge!(RECEIPTS_PENDING),
            rate_limited: counter!(RATE_LIMITED),
            attach_seconds: histogram!(ATTACH_SECONDS),
        }
    }
}
