//! The rounds of one row: tnv, the reference, and tnv on each variant of its cluster. Their order rotates from round
//! to round, so that none always follows the same other one.

use super::bench_cluster::BenchCluster;
use super::cluster_set::{ClusterSet, Variant};
use super::measurement::{Measurement, Metric};
use super::row::{Better, Effect, EffectKind, Row};
use crate::terminal::tell;

/// The rounds of one row.
pub(super) struct Comparison {
    name: String,
    ours: Vec<Measurement>,
    reference: Vec<Measurement>,
    variants: Vec<VariantRounds>,
}

/// The rounds of tnv on a variant of its cluster.
struct VariantRounds {
    circumstance: String,
    goal: Option<f64>,
    rounds: Vec<Measurement>,
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
        let new = |variant: &Variant| VariantRounds {
            circumstance: variant.label.clone(),
            goal: variant.goal,
            rounds: Vec::new(),
        };
        let mut comparison = Comparison {
            name: name.to_owned(),
            ours: Vec::new(),
            reference: Vec::new(),
            variants: clusters.variants.iter().map(new).collect(),
        };
        for subject in rotation(n_rounds, clusters.variants.len() + 2) {
            // Writes of the previous measurement must not slow this one down.
            rustix::fs::sync();
            match subject {
                0 => comparison.ours.push(ours(&clusters.fresh)?),
                1 => comparison.reference.push(reference()?),
                at => {
                    let measured = ours(&clusters.variants[at - 2].cluster)?;
                    comparison.variants[at - 2].rounds.push(measured);
                }
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

    /// The row of a variant against the reference, with `what` after its circumstance.
    pub(super) fn variant_row(
        &self,
        circumstance: &str,
        metric: Metric,
        what: &str,
        against: &str,
    ) -> Option<Row> {
        let mut variants = self.variants.iter();
        let variant = variants.find(|variant| variant.circumstance == circumstance)?;
        let name = format!("{}, {circumstance}{what}", self.name);
        let reference = (against, metric.of(&self.reference));
        let figure = metric.of(&variant.rounds);
        Some(Row::new(
            name,
            metric.unit(),
            better(metric),
            figure,
            reference,
        ))
    }

    /// A row for the speed of each variant.
    pub(super) fn kept(&self, metric: Metric) -> Vec<Row> {
        let row = |variant: &VariantRounds| {
            let circumstance = &variant.circumstance;
            let effect = Effect {
                of: self.name.clone(),
                circumstance: circumstance.clone(),
                kind: EffectKind::Cluster,
            };
            let name = format!("{}, {circumstance}", self.name);
            let reference = ("itself without", metric.of(&self.ours));
            let figure = metric.of(&variant.rounds);
            let row = Row::new(name, metric.unit(), better(metric), figure, reference);
            Row {
                goal: variant.goal,
                ..row.effect(effect)
            }
        };
        self.variants.iter().map(row).collect()
    }
}

/// The order of the measurements: each round has all `n_subjects`, and begins one later than the round before it.
pub(super) fn rotation(n_rounds: usize, n_subjects: usize) -> impl Iterator<Item = usize> {
    (0..n_rounds * n_subjects).map(move |idx| (idx + idx / n_subjects) % n_subjects)
}

fn better(metric: Metric) -> Better {
    match metric {
        Metric::Bytes | Metric::Rate => Better::More,
        Metric::Median | Metric::P99 | Metric::CpuPerGb | Metric::CpuPer1000 => Better::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_all_subjects_and_begins_with_another_one() {
        let order: Vec<usize> = rotation(3, 3).collect();
        assert_eq!(order, [0, 1, 2, 1, 2, 0, 2, 0, 1]);
    }
}
