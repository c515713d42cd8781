//! HTTP beside nginx: whole files, ranges and seeks.

use std::path::Path;

use super::super::bench_cluster::{Batch, BenchCluster};
use super::super::cluster_set::{ClusterSet, REMOTE};
use super::super::measurement::{Measurement, Metric};
use super::super::references::{Nginx, Round};
use super::{Bench, Scale};

impl Bench {
    pub(super) fn http(&mut self, clusters: &ClusterSet, media: &Path) -> anyhow::Result<()> {
        const AGAINST: &str = "nginx with sendfile";
        let Scale {
            large, huge, round, ..
        } = self.scale;
        let nginx = Nginx::start(&self.scratch, media)?;
        let elsewhere = |mix: &str, n_threads, batch| {
            round_of_nginx(&nginx, &clusters.fresh, (mix, batch), n_threads, round)
        };
        let compare = |name: &str, mix: &str, n_threads, batch| {
            let ours = |target: &BenchCluster| target.reads(mix, n_threads, batch, round);
            self.compare(name, clusters, &ours, &mut || {
                elsewhere(mix, n_threads, batch)
            })
        };
        let one = compare("HTTP 100 MiB, 1 connection", "http", 1, large);
        let eight = compare("HTTP 100 MiB, 8 connections", "http", 8, large);
        let ranges = compare(
            "HTTP ranges of 64 KiB, 32 connections",
            "http-range",
            32,
            large,
        );
        let seek = compare("first byte after a seek, 1 GiB", "http-seek", 1, huge);
        for whole in [&one, &eight].into_iter().flatten() {
            self.rows.push(whole.row(Metric::Bytes, AGAINST).goal(0.95));
            self.rows.push(
                whole
                    .side_row(Metric::CpuPerGb, "CPU", AGAINST)
                    .goal(1.0 / 1.15),
            );
            let remote =
                |metric: Metric, what: &str| whole.variant_row(REMOTE, metric, what, AGAINST);
            let rate = remote(Metric::Bytes, "").map(|row| row.goal(0.6));
            let cpu = remote(Metric::CpuPerGb, ", CPU").map(|row| row.goal(1.0 / 2.2));
            self.rows.extend(rate.into_iter().chain(cpu));
            self.keep(whole, Metric::Bytes);
        }
        if let Some(ranges) = ranges {
            self.rows.push(ranges.row(Metric::Rate, AGAINST).goal(0.9));
            self.rows
                .push(ranges.side_row(Metric::P99, "p99", AGAINST).goal(1.0 / 1.2));
            self.keep(&ranges, Metric::Rate);
        }
        if let Some(seek) = seek {
            self.rows
                .push(seek.row(Metric::Median, AGAINST).goal(1.0 / 1.15));
            self.keep(&seek, Metric::Median);
        }
        Ok(())
    }
}

/// A round of `n_threads` threads that do `mix` with the files of a batch.
pub(super) fn round_of_nginx(
    nginx: &Nginx,
    target: &BenchCluster,
    (mix, batch): (&str, Batch),
    n_threads: usize,
    round: Round,
) -> anyhow::Result<Measurement> {
    let (url, list) = (nginx.url(), target.list(batch));
    let args = ["--mix", mix, "--use", &list, "--http", &url];
    target.round_elsewhere(&args, n_threads, round, &[nginx.pid()])
}
