//! All at once for long, in one system: round after round with new users and conversations, each
//! judged by itself, so that what is kept for judging stays small.

use std::time::Duration;

use tokio::time::Instant;

use crate::run::Run;
use crate::system::{Layout, System};
use crate::wishes::Wishes;
use crate::{Result, say};

/// Disturbances of a round.
const ROUND: Duration = Duration::from_secs(120);

pub(super) async fn soak(wishes: &Wishes) -> Result<bool> {
    let mut system = System::start(Layout::Real, &super::logs("soak")).await?;
    let deadline = Instant::now() + Duration::from_secs(wishes.minutes * 60);
    let (mut passed, mut failed, mut acked) = (0, 0, 0);
    for round in 1.. {
        say(&format!("round {round} (seed {})", wishes.seed));
        let mut run = Run::begin(&format!("soak, round {round}"), system, wishes, round).await?;
        super::all_at_once::stage(&mut run, ROUND).await?;
        let (back, report) = run.finish().await?;
        system = back;
        if report.passed() {
            passed += 1;
        } else {
            failed += 1;
        }
        acked += report.whole.acked;
        let memory = system
            .memory()
            .into_iter()
            .map(|(name, mib)| format!("{name} {mib} MiB"));
        say(&format!(
            "    memory: {}",
            memory.collect::<Vec<_>>().join(", ")
        ));
        if Instant::now() >= deadline {
            break;
        }
    }
    say(&format!(
        "soak: {passed} rounds passed, {failed} failed, {acked} sends acked"
    ));
    Ok(failed == 0)
}
