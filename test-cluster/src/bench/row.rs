//! The rows of the result: the figure of tnv, that of the reference, their ratio and the goal.

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
    /// The circumstance whose effect the ratio shows, if the reference is tnv without it.
    pub effect: Option<Effect>,
}

/// A circumstance under which a measurement was repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The measurement without the circumstance.
    pub of: String,
    /// The circumstance, such as `10000 idle`.
    pub circumstance: String,
    /// The kind of the circumstance. Rows of one kind are columns of one table.
    pub kind: EffectKind,
}

/// The kind of a circumstance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// Another cluster, with more of something.
    Cluster,
    /// More connections than the best of fewer.
    Connections,
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
            effect: None,
        }
    }

    /// Adds a goal, the smallest ratio that reaches it.
    pub fn goal(mut self, goal: f64) -> Row {
        self.goal = Some(goal);
        self
    }

    /// Leaves out the processor time, where that of some servers is not measured.
    pub fn without_cpu(mut self) -> Row {
        (self.cpu, self.cpu_per) = (None, None);
        self
    }

    /// Adds the circumstance whose effect the ratio shows.
    pub fn effect(mut self, effect: Effect) -> Row {
        self.effect = Some(effect);
        self
    }

    /// True if the goal is reached; None without a goal.
    pub fn is_ok(&self) -> Option<bool> {
        self.goal.map(|goal| self.ratio >= goal)
    }
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
}
