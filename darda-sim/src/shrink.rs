//! Makes a failing plan shorter: drops faults and steps, one lump after another, as long as the same
//! promise stays broken and time is left.

use std::time::{Duration, Instant};

use crate::check::{Promise, Violation, check};
use crate::history::History;
use crate::plan::Plan;
use crate::run::run;

/// A failing run.
#[derive(Debug)]
pub struct Failure {
    /// What was run.
    pub plan: Plan,
    /// What happened.
    pub history: History,
    /// What it broke.
    pub violations: Vec<Violation>,
}

/// Runs a plan. `None`: every promise was kept.
///
/// # Errors
/// When it cannot be run.
pub fn attempt(plan: &Plan) -> std::io::Result<Option<Failure>> {
    let history = run(plan)?;
    let violations = check(&history);
    let failed = !violations.is_empty();
    Ok(failed.then(|| Failure {
        plan: plan.clone(),
        history,
        violations,
    }))
}

/// The shortest plan found within the time that breaks the same promise.
#[must_use]
pub fn shrink(mut failure: Failure, time: Duration) -> Failure {
    let deadline = Instant::now() + time;
    let Some(promise) = failure
        .violations
        .first()
        .map(|violation| violation.promise)
    else {
        return failure;
    };
    loop {
        let before = failure.plan.faults.len() + failure.plan.steps.len();
        shorten(&mut failure, promise, deadline, |plan| &mut plan.faults);
        shorten(&mut failure, promise, deadline, |plan| &mut plan.steps);
        let after = failure.plan.faults.len() + failure.plan.steps.len();
        if after == before || Instant::now() >= deadline {
            return failure;
        }
    }
}

fn shorten<T: Clone>(
    failure: &mut Failure,
    promise: Promise,
    deadline: Instant,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
) {
    let mut lump = list(&mut failure.plan).len().div_ceil(2);
    while lump > 0 {
        let mut at = 0;
        while at < list(&mut failure.plan).len() {
            if Instant::now() >= deadline {
                return;
            }
            let mut plan = failure.plan.clone();
            let items = list(&mut plan);
            let end = (at + lump).min(items.len());
            items.drain(at..end);
            match attempt(&plan) {
                Ok(Some(found))
                    if found
                        .violations
                        .iter()
                        .any(|broken| broken.promise == promise) =>
                {
                    *failure = found;
                }
                _ => at += lump,
            }
        }
        lump /= 2;
    }
}
