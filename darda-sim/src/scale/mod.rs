//! What a fleet of a thousand gateways asks of the ports: the real engine over memory ports that count,
//! in one process, on paused time. The same seed gives the same numbers.
//!
//! Counts are exact and times are the engine's own: pauses, leases, windows. What a call costs a real
//! server is not in them.

mod changes;
mod counting;
mod counts;
mod fleet;
mod idle;
mod routing;
mod table;
mod town;
mod waves;

pub use changes::{Changed, ChangesPlan, changes};
pub use counts::{Counted, Op};
pub use idle::{IdlePlan, Idled, idle};
pub use routing::{Phase, Routed, RoutingPlan, routing};
pub use table::{Table, number};
pub use waves::{Disturbance, Waved, WavesPlan, waves};

use std::io;

use darda_core::model::{InvalidId, UserId};

/// Why a simulation has no result.
#[derive(Debug)]
pub enum Failed {
    /// No runtime was made.
    Runtime(io::Error),
    /// The engine refused what it must not.
    Refused(darda_core::Error),
    /// A name that was made up is none.
    Id(InvalidId),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "no runtime: {error}"),
            Self::Refused(error) => write!(f, "the engine refused a call: {error}"),
            Self::Id(error) => write!(f, "a name is none: {error}"),
        }
    }
}

impl std::error::Error for Failed {}

impl From<darda_core::Error> for Failed {
    fn from(error: darda_core::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<InvalidId> for Failed {
    fn from(error: InvalidId) -> Self {
        Self::Id(error)
    }
}

/// Runs a scenario in a time of its own.
fn simulate<T>(scenario: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(Failed::Runtime)?;
    runtime.block_on(Box::pin(scenario))
}

fn user(of: &str, number: usize) -> Result<UserId, Failed> {
    Ok(UserId::new(format!("{of}-{number}"))?)
}
