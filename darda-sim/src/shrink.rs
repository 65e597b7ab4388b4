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

/// What became of a run.
#[derive(Debug)]
pub enum Outcome {
    /// Every promise was kept.
    Kept(History),
    /// At least one was broken.
    Broken(Failure),
}

/// Runs a plan and judges it.
///
/// # Errors
/// When it cannot be run.
pub fn attempt(plan: &Plan) -> std::io::Result<Outcome> {
    let history = run(plan)?;
    let violations = check(&history);
    Ok(if violations.is_empty() {
        Outcome::Kept(history)
    } else {
        Outcome::Broken(Failure {
            plan: plan.clone(),
            history,
            violations,
        })
    })
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
        simpler(&mut failure, promise, |plan| plan.weather_ms = 0);
        simpler(&mut failure, promise, |plan| plan.nodes = 2);
        let before = failure.plan.faults.len() + failure.plan.steps.len();
        shorten(&mut failure, promise, deadline, |plan| &mut plan.faults);
        shorten(&mut failure, promise, deadline, |plan| &mut plan.steps);
        let after = failure.plan.faults.len() + failure.plan.steps.len();
        if after == before || Instant::now() >= deadline {
            return failure;
        }
    }
}

fn simpler(failure: &mut Failure, promise: Promise, change: impl Fn(&mut Plan)) {
    let mut plan = failure.plan.clone();
    change(&mut plan);
    if plan != failure.plan {
        replace(failure, promise, &plan);
    }
}

/// Takes the plan if it breaks the same promise.
fn replace(failure: &mut Failure, promise: Promise, plan: &Plan) -> bool {
    match attempt(plan) {
        Ok(Outcome::Broken(found))
            if found
                .violations
                .iter()
                .any(|broken| broken.promise == promise) =>
        {
            *failure = found;
            true
        }
        _ => false,
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
            if !replace(failure, promise, &plan) {
                at += lump;
            }
        }
        lump /= 2;
    }
}
