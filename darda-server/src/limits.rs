//! The limits of the server itself, by name. Those of the model are in
//! [`darda_core::model::limits`], those of a connection beside it in `socket`.

use std::time::Duration;

/// How often a connection is pinged. A peer that was silent from one ping to the next is dead: it
/// is found after at most twice this time.
pub const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long a closed connection may take to hear of it.
pub const FAREWELL: Duration = Duration::from_secs(1);
/// How long the head of a request may take, and a connection may wait for its next request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the body of a request may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be used for requests, so that none lives on a client that does not
/// read its answers. A WebSocket has its heartbeats instead.
pub const HTTP_LIFETIME: Duration = Duration::from_secs(120);
/// How long the last request of a connection may take.
pub const LAST_REQUEST: Duration = Duration::from_secs(10);
/// The body of a request, in bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// Requests of one user over HTTP, a second.
pub const HTTP_RATE: u32 = 50;
/// Requests of one user over HTTP at once, after a pause.
pub const HTTP_BURST: u32 = 100;
/// Users whose requests over HTTP are counted at a time; beyond, the oldest count is dropped.
pub const MAX_HTTP_USERS: usize = 10_000;
