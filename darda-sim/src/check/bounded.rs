//! Promise 7: what was measured stayed under its limit.

use super::facts::Facts;
use crate::history::What;

pub(super) fn broken(facts: &Facts<'_>) -> Vec<String> {
    let samples = facts
        .history
        .records
        .iter()
        .filter_map(|record| match &record.what {
            What::Sample { name, value, limit } if value > limit => Some(format!(
                "{} µs: {name} is {value}, above {limit}",
                record.at
            )),
            _ => None,
        });
    samples.collect()
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    #[test]
    fn a_size_at_its_limit_is_fine() {
        assert!(Story::direct().sample(5, 5).judge(broken).is_empty());
    }

    #[test]
    fn a_size_above_its_limit_is_found() {
        assert_eq!(Story::direct().sample(6, 5).judge(broken).len(), 1);
    }
}
