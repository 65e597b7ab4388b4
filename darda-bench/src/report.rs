//! What the programs print: medians with their spread, ratios, and whether a goal is met.

use std::io::Write;

/// Values of one figure, one a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The first of the values.
    pub(crate) fn first(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The last of the values.
    pub(crate) fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len(), sorted.len() / 2) {
            (0, _) => f64::NAN,
            (length, middle) if length % 2 == 1 => sorted[middle],
            (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// These values divided by those of the same rounds.
    pub(crate) fn over(&self, base: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&base.0)
                .map(|(value, base)| value / base)
                .collect(),
        )
    }

    /// The median and, in brackets, the least and the greatest.
    pub(crate) fn show(&self, digits: usize) -> String {
        if self.0.is_empty() {
            return "–".to_owned();
        }
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let median = self.median();
        format!("{median:.digits$} [{least:.digits$}–{greatest:.digits$}]")
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// What a figure ought to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn judge(self, value: f64, digits: usize) -> String {
        if value.is_nan() {
            return String::new();
        }
        let (sign, goal, met) = match self {
            Self::AtLeast(goal) => ('≥', goal, value >= goal),
            Self::AtMost(goal) => ('≤', goal, value <= goal),
        };
        format!(
            "{sign} {goal:.digits$} {}",
            if met { "met" } else { "MISSED" }
        )
    }
}

/// Rows under a heading, printed with aligned columns.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let head = columns.iter().map(ToString::to_string).collect();
        Self {
            title: title.into(),
            rows: vec![head],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        say(&format!("\n{}", self.title));
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, &width)| format!("{cell:<width$}"))
                .collect();
            say(format!("  {}", line.join("  ")).trim_end());
        }
    }
}

/// A line for whoever started the program. A reader that has gone away is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_two_middle_ones() {
        assert_eq!(Rounds::from_iter([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Rounds::from_iter([4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(Rounds::default().median().is_nan());
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let ratio = Rounds::from_iter([1.0, 8.0]).over(&Rounds::from_iter([2.0, 4.0]));
        assert_eq!(ratio.show(1), "1.2 [0.5–2.0]");
    }

    #[test]
    fn a_goal_says_whether_it_is_met() {
        assert_eq!(Goal::AtLeast(0.7).judge(0.69, 1), "≥ 0.7 MISSED");
        assert_eq!(Goal::AtMost(1.3).judge(1.3, 1), "≤ 1.3 met");
    }
}
