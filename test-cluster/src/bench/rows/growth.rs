//! Rates with more and more connections, of tnv and of the references: the threads of the load generator take processor
//! time from the servers, and the references show how much.

use std::path::Path;

use super::super::bench_cluster::Batch;
use super::super::cluster_set::{ClusterSet, KEPT};
use super::super::comparison::rotation;
use super::super::measurement::{Measurement, Metric};
use super::super::references::{Nginx, Redis};
use super::super::row::{Better, Effect, EffectKind, Row};
use super::super::stats::Summary;
use super::http::round_of_nginx;
use super::requests::SMALL_VALUE;
use super::{Bench, Scale};
use crate::terminal::tell;

/// Measures a round with a number of connections.
type Measure<'a> = dyn Fn(&Bench, usize) -> anyhow::Result<Measurement> + 'a;

const CONNECTIONS: [usize; 5] = [1, 4, 16, 64, 256];

impl Bench {
    /// A row for each number of connections: what remains of the best rate of fewer ones.
    pub(super) fn growth(
        &mut self,
        clusters: &ClusterSet,
        media: &Path,
        redis: &Redis,
    ) -> anyhow::Result<()> {
        let Scale { small, large, .. } = self.scale;
        let target = &clusters.fresh;
        let read = |mix: &'static str, batch: Batch| {
            move |bench: &Bench, n: usize| target.reads(mix, n, batch, bench.scale.round)
        };
        let ask = |mix: &'static str| {
            move |bench: &Bench, n: usize| target.small_requests(mix, n, bench.scale.round)
        };
        let nginx = Nginx::start(&self.scratch, media)?;
        let from_nginx = |bench: &Bench, n: usize| {
            round_of_nginx(&nginx, target, ("http-range", large), n, bench.scale.round)
        };
        let from_redis =
            |bench: &Bench, n: usize| redis.round(n, 1, SMALL_VALUE, bench.scale.round);
        let goal = Some(KEPT);
        self.grow(
            "HTTP ranges of 64 KiB, growth",
            goal,
            &read("http-range", large),
        );
        self.grow("HTTP ranges of 64 KiB, growth, nginx", None, &from_nginx);
        self.grow("download 16 KiB, growth", goal, &read("download", small));
        self.grow("tracker saddrs, growth", goal, &ask("saddrs"));
        self.grow("idserver get, growth", goal, &ask("id"));
        self.grow("saddrs and idserver get, growth, redis", None, &from_redis);
        Ok(())
    }

    fn grow(&mut self, name: &str, goal: Option<f64>, measure: &Measure<'_>) {
        if !self.filter.includes(name) {
            return;
        }
        tell(format_args!("measuring {name}"));
        match self.grown(measure) {
            Ok(rates) => self.kept.extend(rows(name, goal, &rates)),
            Err(error) => self.fail(name, &error),
        }
    }

    /// The rate of each number of connections.
    fn grown(&self, measure: &Measure<'_>) -> anyhow::Result<[Summary; CONNECTIONS.len()]> {
        let mut rounds: [Vec<Measurement>; CONNECTIONS.len()] = Default::default();
        for idx in rotation(self.scale.n_rounds, CONNECTIONS.len()) {
            // Writes of the previous measurement must not slow this one down.
            rustix::fs::sync();
            rounds[idx].push(measure(self, CONNECTIONS[idx])?);
        }
        Ok(rounds.map(|rounds| Metric::Rate.of(&rounds)))
    }
}

/// A row for each number of connections but the first, beside the best of fewer.
fn rows(name: &str, goal: Option<f64>, rates: &[Summary; CONNECTIONS.len()]) -> Vec<Row> {
    let mut best = 0;
    let mut rows = Vec::new();
    for idx in 1..rates.len() {
        let count = CONNECTIONS[idx];
        let effect = Effect {
            of: name.to_owned(),
            circumstance: format!("{count} connections"),
            kind: EffectKind::Connections,
        };
        let against = format!("itself with {} connections", CONNECTIONS[best]);
        let reference = (against.as_str(), rates[best]);
        let name = format!("{name}, {count} connections");
        let row = Row::new(
            name,
            Metric::Rate.unit(),
            Better::More,
            rates[idx],
            reference,
        );
        rows.push(Row {
            goal,
            ..row.effect(effect)
        });
        if rates[idx].median > rates[best].median {
            best = idx;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_compared_with_the_best_of_fewer_connections() {
        let rates = [10.0, 40.0, 30.0, 50.0, 45.0].map(Summary::exactly);
        let rows = rows("a row", None, &rates);
        let ratios: Vec<f64> = rows.iter().map(|row| row.ratio).collect();
        assert_eq!(ratios, [4.0, 0.75, 1.25, 0.9]);
        assert_eq!(rows[2].against, "itself with 4 connections");
        assert_eq!(rows[3].name, "a row, 256 connections");
    }
}
