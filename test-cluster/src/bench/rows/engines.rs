//! A cluster on GlusterFS and Galera, beside plain programs on the same mount.

use std::fs;
use std::path::Path;

use super::super::bench_cluster::{Batch, BenchCluster};
use super::super::cluster_set::{ClusterSet, Setup, Variants};
use super::super::measurement::{Measurement, Metric};
use super::super::references::{File, FileSyncer, MountedFiles, run};
use super::{Bench, Scale, seed};
use crate::layout::Engine;
use crate::plan::Role;

/// The last words of the names of these rows.
const ENGINES: &str = "GlusterFS, Galera";
/// Length of ranges, as of `tnv bench`.
const RANGE_LEN: u64 = 64 << 10;

impl Bench {
    /// Volumes with two copies and an arbiter. The processor time of their daemons is not counted.
    pub(super) fn with_glusterfs(&mut self) -> anyhow::Result<()> {
        let Scale { small, large, .. } = self.scale;
        let name = |what: &str| format!("{what}, {ENGINES}");
        let ranges = name("HTTP ranges of 64 KiB, 32 connections");
        let download = name("download 16 KiB, 8 threads");
        let upload = name("upload 16 KiB, 8 threads");
        let upload_large = name("upload 100 MiB, 2 threads");
        let names = [&ranges, &download, &upload, &upload_large];
        if !names.iter().any(|name| self.filter.includes(name)) {
            return Ok(());
        }
        let setup = Setup {
            engine: Engine::Full,
            durability: "full",
            database: None,
            variants: Variants::default(),
            batches: &[small, large],
        };
        let clusters = self.start_clusters("engines", &setup)?;
        let media = clusters.publish(&self.scratch.join("engines"), &[small, large])?;
        let reads = [
            (&ranges, "http-range", 32, large, RANGE_LEN, Some(0.3)),
            (&download, "download", 8, small, small.size, None),
        ];
        for (name, mix, n_threads, batch, len, goal) in reads {
            self.read_mounted(
                &clusters,
                &media,
                (name, goal),
                (mix, n_threads, batch, len),
            )?;
        }
        self.write_mounted(&clusters, &upload, Metric::Rate, small.size, 8)?;
        self.write_mounted(&clusters, &upload_large, Metric::Bytes, large.size, 2)
    }

    /// Reads beside a program that keeps its descriptors.
    fn read_mounted(
        &mut self,
        clusters: &ClusterSet,
        media: &Path,
        (name, goal): (&str, Option<f64>),
        (mix, n_threads, batch, len): (&str, usize, Batch, u64),
    ) -> anyhow::Result<()> {
        let round = self.scale.round;
        let files = File::list(Path::new(&clusters.fresh.list(batch)))?;
        let ours = |target: &BenchCluster| target.reads(mix, n_threads, batch, round);
        let Some(comparison) = self.compare(name, clusters, &ours, &mut || {
            let open = MountedFiles::open(media, &files)?;
            let reader = |_| open.reader(len, seed());
            run((0..n_threads).map(reader).collect(), &[], round)
        }) else {
            return Ok(());
        };
        let against = "a program on the mount that keeps its descriptors";
        let row = comparison.row(Metric::Rate, against).without_cpu();
        self.rows.push(match goal {
            Some(goal) => row.goal(goal),
            None => row,
        });
        Ok(())
    }

    /// Uploads beside a program that writes, syncs and renames.
    fn write_mounted(
        &mut self,
        clusters: &ClusterSet,
        name: &str,
        metric: Metric,
        size: u64,
        n_threads: usize,
    ) -> anyhow::Result<()> {
        let plan = clusters.fresh.cluster.plan();
        let mounts = plan.of(Role::Storage).map(|storage| plan.store(storage));
        let mount = mounts.last().unwrap_or_default();
        let ours = |target: &BenchCluster| self.upload(target, size, n_threads);
        let mut synced = || write_synced(self, &mount.join("synced"), size, n_threads);
        let Some(comparison) = self.compare(name, clusters, &ours, &mut synced) else {
            return Ok(());
        };
        let against = "a program on the mount: write, fdatasync, rename";
        self.rows
            .push(comparison.row(metric, against).without_cpu().goal(0.9));
        Ok(())
    }
}

/// A round of plain writes. Then the files are removed.
fn write_synced(
    bench: &Bench,
    folder: &Path,
    size: u64,
    n_threads: usize,
) -> anyhow::Result<Measurement> {
    let syncer = |idx| FileSyncer::new(folder, idx, size);
    let syncers = (0..n_threads).map(syncer).collect::<Result<Vec<_>, _>>()?;
    let measured = run(syncers, &[], bench.scale.round)?;
    fs::remove_dir_all(folder)?;
    Ok(measured)
}
