//! The result of a run, as JSON and as Markdown.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::isolation::Network;
use super::row::{EffectKind, Row};
use super::stats::Summary;

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Processors, memory, system.
    pub machine: String,
    /// The network of all contestants.
    pub network: Network,
    /// `full` or `quick`.
    pub mode: String,
    /// Duration of the run, in seconds.
    pub seconds: f64,
    /// In the order of the goals.
    pub rows: Vec<Row>,
    /// The errors of rows that could not be measured.
    pub failures: Vec<String>,
}

const HEAD: [&str; 10] = [
    "row", "tnv", "±", "limit", "±", "unit", "ratio", "goal", "CPU", "limit is",
];

impl Report {
    /// The rows in Markdown, as `docs/performance.md` has them: those beside a reference, and what remains of each
    /// rate under each circumstance.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{}; {} run of {:.0} minutes; {}.\n",
            self.machine,
            self.mode,
            (self.seconds / 60.0).ceil(),
            self.network.describe()
        );
        for failure in &self.failures {
            let _ = writeln!(text, "\nNot measured: {failure}");
        }
        let beside = self.rows.iter().filter(|row| row.effect.is_none());
        let lines: Vec<Vec<String>> = beside.map(cells).collect();
        text += &table(&HEAD.map(str::to_owned), &lines);
        for kind in [EffectKind::Cluster, EffectKind::Connections] {
            text += &self.effects(kind);
        }
        text
    }

    /// A line for each measurement and a column for each circumstance of a kind.
    fn effects(&self, kind: EffectKind) -> String {
        let mut head = vec!["row".to_owned()];
        let mut lines: Vec<Vec<String>> = Vec::new();
        for row in &self.rows {
            let Some(effect) = row.effect.as_ref().filter(|effect| effect.kind == kind) else {
                continue;
            };
            let column = position(
                &mut head,
                |name| *name == effect.circumstance,
                || effect.circumstance.clone(),
            );
            let at = position(
                &mut lines,
                |line| line[0] == effect.of,
                || vec![effect.of.clone()],
            );
            let line = &mut lines[at];
            line.resize(line.len().max(column + 1), "-".to_owned());
            line[column] = ratio(row);
        }
        for line in &mut lines {
            line.resize(head.len(), "-".to_owned());
        }
        table(&head, &lines)
    }
}

/// The index of the first item that matches. Without one, adds another item.
fn position<T>(items: &mut Vec<T>, is_it: impl Fn(&T) -> bool, other: impl Fn() -> T) -> usize {
    let found = items.iter().position(is_it);
    found.unwrap_or_else(|| {
        items.push(other());
        items.len() - 1
    })
}

/// A Markdown table with aligned columns; empty without lines.
fn table(head: &[String], lines: &[Vec<String>]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let width = |column: usize| {
        let cells = lines.iter().map(|line| &line[column]);
        let widths = cells
            .chain([&head[column]])
            .map(|cell| cell.chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let write = |text: &mut String, cells: &[String]| {
        for (cell, &width) in cells.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        *text += "|\n";
    };
    let mut text = "\n".to_owned();
    write(&mut text, head);
    let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    write(&mut text, &rules);
    for line in lines {
        write(&mut text, line);
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let cpu = match (row.cpu, &row.cpu_per) {
        (Some([ours, reference]), Some(per)) => {
            format!("{} / {} s per {per}", short(ours), short(reference))
        }
        _ => "-".to_owned(),
    };
    vec![
        row.name.clone(),
        short(row.ours),
        percent(row.ours_rounds),
        short(row.reference),
        percent(row.reference_rounds),
        row.unit.clone(),
        ratio(row),
        row.goal.map_or("-".to_owned(), |goal| format!("{goal:.2}")),
        cpu,
        row.against.clone(),
    ]
}

/// The ratio. A missed goal is marked.
fn ratio(row: &Row) -> String {
    match row.is_ok() {
        Some(false) => format!("**{:.2}**", row.ratio),
        _ => format!("{:.2}", row.ratio),
    }
}

/// Three significant digits, or the whole number with commas.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if value.abs() < 1000.0 {
        return text;
    }
    let from_end = text.len();
    let mut grouped = String::new();
    for (idx, digit) in text.char_indices() {
        if idx > 0 && (from_end - idx) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Half of the spread, in percent.
fn percent(rounds: Summary) -> String {
    format!("{:.0}%", rounds.spread() * 50.0)
}

#[cfg(test)]
mod tests {
    use super::super::row::{Better, Effect};
    use super::*;

    fn row(name: &str, ours: f64) -> Row {
        let reference = ("limit", Summary::exactly(2000.0));
        Row::new(
            name,
            "MB/s",
            Better::More,
            Summary::exactly(ours),
            reference,
        )
        .goal(0.4)
    }

    fn effect(of: &str, circumstance: &str, ours: f64) -> Row {
        row("an effect", ours).effect(Effect {
            of: of.to_owned(),
            circumstance: circumstance.to_owned(),
            kind: EffectKind::Cluster,
        })
    }

    fn report() -> Report {
        Report {
            machine: "one".to_owned(),
            network: Network {
                congestion_control: "reno".to_owned(),
                unfair: Some("no namespace".to_owned()),
            },
            mode: "quick".to_owned(),
            seconds: 61.0,
            rows: vec![
                row("a row", 1000.0),
                row("another", 500.0),
                effect("a row", "idle", 1800.0),
                effect("another", "rows", 600.0),
            ],
            failures: vec!["a third: no answer".to_owned()],
        }
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["machine"], "one");
        assert_eq!(json["network"]["congestion_control"], "reno");
        assert_eq!(json["network"]["unfair"], "no namespace");
        let row = &json["rows"][0];
        for (field, value) in [
            ("ours", 1000.0),
            ("reference", 2000.0),
            ("ratio", 0.5),
            ("goal", 0.4),
        ] {
            assert_eq!(row[field], value, "{field}");
        }
        assert_eq!(
            (&row["name"], &row["unit"]),
            (&"a row".into(), &"MB/s".into())
        );
        assert_eq!(json["rows"][2]["effect"]["circumstance"], "idle");
    }

    #[test]
    fn the_tables_show_ratios_and_missed_goals() {
        let expected = "\
one; quick run of 2 minutes; UNFAIR, reno in the network of the system: no namespace.

Not measured: a third: no answer

| row     | tnv   | ±  | limit | ±  | unit | ratio    | goal | CPU | limit is |
| ------- | ----- | -- | ----- | -- | ---- | -------- | ---- | --- | -------- |
| a row   | 1,000 | 0% | 2,000 | 0% | MB/s | 0.50     | 0.40 | -   | limit    |
| another | 500   | 0% | 2,000 | 0% | MB/s | **0.25** | 0.40 | -   | limit    |

| row     | idle | rows     |
| ------- | ---- | -------- |
| a row   | 0.90 | -        |
| another | -    | **0.30** |
";
        assert_eq!(report().markdown(), expected);
    }

    #[test]
    fn figures_have_three_digits() {
        let figures = [0.0456, 1.234, 12.34, 123.4, 1234.5, 1_234_567.8];
        let texts = ["0.046", "1.23", "12.3", "123", "1,234", "1,234,568"];
        assert_eq!(figures.map(short), texts);
    }
}
