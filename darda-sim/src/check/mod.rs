//! The checkers: one file for each promise. Each takes a [`History`] and says what is broken.

mod acknowledged_is_kept;
mod bounded;
mod facts;
mod members_only;
mod no_gaps;
mod once;
mod one_order;
mod receipts_forward;
#[cfg(test)]
mod story;
mod told;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::History;
use facts::Facts;

/// A promise of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Promise {
    /// 1. What was acknowledged is in the log and in every member's view.
    AcknowledgedIsKept,
    /// 2. All see the same order.
    OneOrder,
    /// 3. A send is one entry, however often it is sent.
    Once,
    /// 4. Who follows `prev`, or resumes, misses nothing.
    NoGaps,
    /// 5. What cannot be kept at once is said.
    Told,
    /// 6. Nothing reaches who may not see it.
    MembersOnly,
    /// 7. Everything has a limit.
    Bounded,
    /// 8. Marks only move forward.
    ReceiptsForward,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// How it was broken.
    pub how: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.how)
    }
}

type Judge = fn(&Facts<'_>) -> Vec<String>;

/// Judges a history by every promise.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::of(history);
    let mut violations = Vec::new();
    let judges: [(Promise, Judge); 8] = [
        (Promise::AcknowledgedIsKept, acknowledged_is_kept::broken),
        (Promise::OneOrder, one_order::broken),
        (Promise::Once, once::broken),
        (Promise::NoGaps, no_gaps::broken),
        (Promise::Told, told::broken),
        (Promise::MembersOnly, members_only::broken),
        (Promise::Bounded, bounded::broken),
        (Promise::ReceiptsForward, receipts_forward::broken),
    ];
    for (promise, broken) in judges {
        violations.extend(
            broken(&facts)
                .into_iter()
                .map(|how| Violation { promise, how }),
        );
    }
    violations
}
