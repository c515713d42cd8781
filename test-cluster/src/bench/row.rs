//! The rows of the result: our figure, the limit's, their ratio and the goal.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::stats::Summary;

/// Which figure is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A rate.
    More,
    /// A time, or what something costs.
    Less,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Our figure, the median of all rounds.
    pub ours: f64,
    /// The figure of the limit.
    pub reference: f64,
    /// Of both.
    pub unit: String,
    /// How good ours is beside the limit's; more is better.
    pub ratio: f64,
    /// The least ratio that is wanted; absent where the row is for information.
    pub goal: Option<f64>,
    /// What the limit is.
    pub against: String,
    /// The rounds of ours.
    pub ours_rounds: Summary,
    /// The rounds of the limit.
    pub reference_rounds: Summary,
    /// Seconds of processor time that our servers took for each unit of work, and the limit's.
    pub cpu: Option<[f64; 2]>,
    /// What a unit of work is, such as `GB`.
    pub cpu_per: Option<String>,
}

impl Row {
    /// A row of these rounds. Where less is better, the ratio is turned.
    pub fn new(
        name: impl Into<String>,
        unit: &str,
        better: Better,
        ours: Summary,
        (against, reference): (&str, Summary),
    ) -> Row {
        let ratio = match better {
            Better::More => ours.median / reference.median,
            Better::Less => reference.median / ours.median,
        };
        Row {
            name: name.into(),
            ours: ours.median,
            reference: reference.median,
            unit: unit.to_owned(),
            // Nothing of something: as good as can be. JSON has no infinity.
            ratio: if ratio.is_finite() { ratio } else { 1e9 },
            goal: None,
            against: against.to_owned(),
            ours_rounds: ours,
            reference_rounds: reference,
            cpu: None,
            cpu_per: None,
        }
    }

    /// The same with a goal: the least ratio that is wanted.
    pub fn goal(mut self, goal: f64) -> Row {
        self.goal = Some(goal);
        self
    }

    /// Whether the goal is reached, where there is one.
    pub fn is_ok(&self) -> Option<bool> {
        self.goal.map(|goal| self.ratio >= goal)
    }

    fn line(&self) -> String {
        let verdict = match self.is_ok() {
            Some(true) => "ok",
            Some(false) => "MISS",
            None => "",
        };
        let goal = self.goal.map(|goal| format!("{goal:.2}"));
        let mut line = format!(
            "{:<52} {:>9} ±{:<4} {:>9} ±{:<4} {:<8} {:>6.2} {:>5} {verdict:<4}",
            self.name,
            short(self.ours),
            percent(self.ours_rounds),
            short(self.reference),
            percent(self.reference_rounds),
            self.unit,
            self.ratio,
            goal.unwrap_or_default(),
        );
        if let (Some([ours, reference]), Some(per)) = (self.cpu, &self.cpu_per) {
            let _ = write!(line, " {ours:.3}/{reference:.3} s per {per};");
        }
        let _ = write!(line, " {}", self.against);
        line
    }
}

/// Everything that a run has found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Processors, memory, system.
    pub machine: String,
    /// `full` or `quick`.
    pub mode: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// In the order of the goals.
    pub rows: Vec<Row>,
}

impl Report {
    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}; {} run of {:.0} s\n",
            self.machine, self.mode, self.seconds
        );
        let _ = write!(
            text,
            "{:<52} {:>15} {:>15} {:<8} {:>6} {:>5}      CPU of the servers ours/limit; the limit",
            "row", "ours", "limit", "unit", "ratio", "goal"
        );
        for row in &self.rows {
            let _ = write!(text, "\n{}", row.line());
        }
        text
    }
}

/// Three digits that matter, or the whole number.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Half of the spread.
fn percent(rounds: Summary) -> String {
    format!("{:.0}%", rounds.spread() * 50.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(better: Better, ours: f64, reference: f64) -> Row {
        let reference = ("limit", Summary::exactly(reference));
        Row::new("a row", "MB/s", better, Summary::exactly(ours), reference)
    }

    #[test]
    fn more_is_better_in_every_ratio() {
        assert_eq!(row(Better::More, 90.0, 100.0).ratio, 0.9);
        assert_eq!(row(Better::Less, 80.0, 100.0).ratio, 1.25);
        assert!(row(Better::Less, 0.0, 64.0).ratio > 1e6);
    }

    #[test]
    fn a_goal_is_the_least_ratio() {
        let at = |goal| row(Better::More, 90.0, 100.0).goal(goal).is_ok();
        assert_eq!((at(0.9), at(0.91)), (Some(true), Some(false)));
        assert_eq!(row(Better::More, 1.0, 1.0).is_ok(), None);
    }

    #[test]
    fn the_report_has_the_fields_that_others_read() {
        let report = Report {
            machine: "one".to_owned(),
            mode: "quick".to_owned(),
            seconds: 1.0,
            rows: vec![row(Better::More, 1.0, 2.0).goal(0.4)],
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["machine"], "one");
        let row = &json["rows"][0];
        for (field, value) in [
            ("ours", 1.0),
            ("reference", 2.0),
            ("ratio", 0.5),
            ("goal", 0.4),
        ] {
            assert_eq!(row[field], value, "{field}");
        }
        assert_eq!(
            (&row["name"], &row["unit"]),
            (&"a row".into(), &"MB/s".into())
        );
        assert!(
            report.table().contains("0.50  0.40 ok"),
            "{}",
            report.table()
        );
    }
}
