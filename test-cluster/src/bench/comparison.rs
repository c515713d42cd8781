//! The rounds of one row: tnv, the reference, tnv beside idle connections, tnv with many rows. Their
//! order rotates from round to round, so that none always follows the same other one.

use super::bench_cluster::BenchCluster;
use super::cluster_set::ClusterSet;
use super::idle_connections;
use super::measurement::{Measurement, Metric};
use super::row::{Better, Row};
use super::stats::Summary;
use crate::terminal::tell;

/// Goal for the part of its speed that tnv keeps beside idle connections, and with many rows.
const KEPT: f64 = 0.9;
/// Measurements of one round.
const N_SUBJECTS: usize = 4;

/// The rounds of one row.
pub(super) struct Comparison {
    name: String,
    ours: Vec<Measurement>,
    reference: Vec<Measurement>,
    crowded: Vec<Measurement>,
    filled: Vec<Measurement>,
}

impl Comparison {
    /// Measures `n_rounds` rounds.
    ///
    /// # Errors
    /// An operation failed, or a byte was wrong.
    pub(super) fn run(
        name: &str,
        n_rounds: usize,
        clusters: &ClusterSet,
        ours: &dyn Fn(&BenchCluster) -> anyhow::Result<Measurement>,
        reference: &mut dyn FnMut() -> anyhow::Result<Measurement>,
    ) -> anyhow::Result<Comparison> {
        tell(format_args!("measuring {name}"));
        let mut comparison = Comparison {
            name: name.to_owned(),
            ours: Vec::new(),
            reference: Vec::new(),
            crowded: Vec::new(),
            filled: Vec::new(),
        };
        for idx in 0..n_rounds * N_SUBJECTS {
            // Writes of the previous measurement must not slow this one down.
            rustix::fs::sync();
            match (idx + idx / N_SUBJECTS) % N_SUBJECTS {
                0 => comparison.ours.push(ours(&clusters.fresh)?),
                1 => comparison.reference.push(reference()?),
                2 => comparison.crowded.push(ours(&clusters.crowded)?),
                _ => comparison.filled.push(ours(&clusters.filled)?),
            }
        }
        Ok(comparison)
    }

    /// The row of a metric against the reference, with the processor time of both.
    pub(super) fn row(&self, metric: Metric, against: &str) -> Row {
        let reference = (against, metric.of(&self.reference));
        let mut row = Row::new(
            &self.name,
            metric.unit(),
            better(metric),
            metric.of(&self.ours),
            reference,
        );
        let (cpu, per) = match metric {
            Metric::Bytes => (Metric::CpuPerGb, "GB"),
            _ => (Metric::CpuPer1000, "1000"),
        };
        let median = |rounds: &[Measurement]| cpu.of(rounds).median;
        row.cpu = Some([median(&self.ours), median(&self.reference)]);
        row.cpu_per = Some(per.to_owned());
        row
    }

    /// The row of another metric, with `what` after the name.
    pub(super) fn side_row(&self, metric: Metric, what: &str, against: &str) -> Row {
        let name = format!("{}, {what}", self.name);
        let reference = (against, metric.of(&self.reference));
        Row::new(
            name,
            metric.unit(),
            better(metric),
            metric.of(&self.ours),
            reference,
        )
    }

    /// The row against a figure of FastDFS from another run.
    pub(super) fn fastdfs(&self, metric: Metric, figure: f64, goal: f64) -> Row {
        let name = format!("{}, FastDFS", self.name);
        let reference = ("FastDFS 6.16.1, another run", Summary::exactly(figure));
        Row::new(
            name,
            metric.unit(),
            better(metric),
            metric.of(&self.ours),
            reference,
        )
        .goal(goal)
    }

    /// The rows for the speed beside idle connections, and with many rows and groups.
    pub(super) fn kept(&self, metric: Metric, n_rows: u64) -> [Row; 2] {
        let of = |what: String, rounds: &[Measurement]| {
            let name = format!("{}, {what}", self.name);
            let reference = ("itself without", metric.of(&self.ours));
            Row::new(
                name,
                metric.unit(),
                better(metric),
                metric.of(rounds),
                reference,
            )
            .goal(KEPT)
        };
        [
            of(format!("{} idle", idle_connections::COUNT), &self.crowded),
            of(format!("{n_rows} rows"), &self.filled),
        ]
    }
}

fn better(metric: Metric) -> Better {
    match metric {
        Metric::Bytes | Metric::Rate => Better::More,
        Metric::Median | Metric::P99 | Metric::CpuPerGb | Metric::CpuPer1000 => Better::Less,
    }
}
