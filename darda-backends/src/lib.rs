//! Real servers for tests: [`Redis`], [`Sentinel`] and [`RedisCluster`], [`Rabbit`], and a
//! MongoDB-compatible database, [`Mongo`]. Each is a process of the test's own, on loopback, that can
//! be killed, hung, resumed and started again on its data, and that dies with the test. A [`Proxy`]
//! cuts connections or swallows what passes; [`Logged`] is what the code under test says of it.
//!
//! They run from a root file system with the servers' packages that `scripts/backends.sh` makes. A
//! machine without it gives [`StartError::Missing`]; [`or_skip`] turns that into a loud skip, or into
//! a failure where `DARDA_REQUIRE_BACKENDS=1`.
//!
//! ```no_run
//! # async fn test() {
//! use darda_backends::{Redis, RedisOptions, or_skip};
//!
//! let Some(mut redis) = or_skip(Redis::start(RedisOptions::default()).await) else {
//!     return;
//! };
//! println!("{}", redis.url());
//! redis.server().pause();
//! redis.server().resume();
//! redis.server().kill().await;
//! redis.start_again().await.unwrap();
//! # }
//! ```

mod certificates;
mod logged;
mod mongo;
mod process;
mod proxy;
mod rabbit;
mod redis;
mod redis_cluster;
mod root;
mod sentinel;
mod shared;
mod watcher;

pub use certificates::Certificates;
pub use logged::Logged;
pub use mongo::{Mongo, MongoOptions};
pub use process::Process;
pub use proxy::{Passage, Proxy};
pub use rabbit::{Rabbit, RabbitCluster, RabbitOptions};
pub use redis::{Redis, RedisOptions};
pub use redis_cluster::RedisCluster;
pub use sentinel::Sentinel;
pub use shared::{Shared, Urls};
pub use watcher::Watcher;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine has no such servers, and what to do about it.
    #[error("{0}")]
    Missing(String),
    /// It is there and does not come up.
    #[error("{0}")]
    Failed(String),
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What starting a server returns.
pub type Result<T> = std::result::Result<T, StartError>;

/// Whether a test may not be skipped.
#[must_use]
pub fn required() -> bool {
    std::env::var_os("DARDA_REQUIRE_BACKENDS").is_some_and(|value| value == "1")
}

/// A test's server; or `None`, said aloud, where there is none and none is required.
///
/// # Panics
/// When the server fails to start, or is missing and required.
#[must_use]
#[expect(clippy::panic, clippy::print_stderr, reason = "it speaks for a test")]
pub fn or_skip<T>(started: Result<T>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(StartError::Missing(why)) if !required() => {
            let test = std::thread::current();
            let name = test.name().unwrap_or("a test");
            eprintln!("SKIPPED {name}: the backend is missing: {why}");
            None
        }
        Err(error) => panic!("the backend does not start: {error}"),
    }
}
