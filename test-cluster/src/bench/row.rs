//! The rows of the result: the figure of tnv, that of the reference, their ratio and the goal.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::stats::Summary;

/// The better direction of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better: a rate.
    More,
    /// Less is better: a time or a cost.
    Less,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The measurement.
    pub name: String,
    /// The figure of tnv: the median of all rounds.
    pub ours: f64,
    /// The figure of the reference.
    pub reference: f64,
    /// The unit of both figures.
    pub unit: String,
    /// The ratio of both figures; more is better for tnv.
    pub ratio: f64,
    /// The smallest ratio that reaches the goal; absent in rows for information.
    pub goal: Option<f64>,
    /// The reference in words.
    pub against: String,
    /// The rounds of tnv.
    pub ours_rounds: Summary,
    /// The rounds of the reference.
    pub reference_rounds: Summary,
    /// Seconds of processor time of the servers for each unit of work: of tnv, and of the reference.
    pub cpu: Option<[f64; 2]>,
    /// The unit of work, such as `GB`.
    pub cpu_per: Option<String>,
}

impl Row {
    /// A row of these rounds. If less is better, the ratio is that of the reference to tnv.
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
            // Zero cost. JSON has no infinity.
            ratio: if ratio.is_finite() { ratio } else { 1e9 },
            goal: None,
            against: against.to_owned(),
            ours_rounds: ours,
            reference_rounds: reference,
            cpu: None,
            cpu_per: None,
        }
    }

    /// Adds a goal, the smallest ratio that reaches it.
    pub fn goal(mut self, goal: f64) -> Row {
        self.goal = Some(goal);
        self
    }

    /// True if the goal is reached; None without a goal.
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

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Processors, memory, system.
    pub machine: String,
    /// `full` or `quick`.
    pub mode: String,
    /// Duration of the run, in seconds.
    pub seconds: f64,
    /// In the order of the goals.
    pub rows: Vec<Row>,
}

impl Report {
    /// The rows as a table.
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

/// Three significant digits, or the whole number.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Half of the spread, in percent.
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
    fn a_goal_is_the_smallest_good_ratio() {
        let at = |goal| row(Better::More, 90.0, 100.0).goal(goal).is_ok();
        assert_eq!((at(0.9), at(0.91)), (Some(true), Some(false)));
        assert_eq!(row(Better::More, 1.0, 1.0).is_ok(), None);
    }

    #[test]
    fn the_json_has_the_documented_fields() {
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
