//! Uploads: durable, with MariaDB, with SQLite, and large.

use anyhow::Context;
use test_mariadb::{Galera, Mariadb};

use super::super::bench_cluster::BenchCluster;
use super::super::cluster_set::{ClusterSet, Setup, Variants};
use super::super::database::Database;
use super::super::measurement::{Measurement, Metric};
use super::super::references::{
    FileSyncer, MariadbInserter, PlainServer, PlainUploader, SqliteInserter, empty, folder_of, run,
};
use super::{Bench, seed};
use crate::layout::Engine;

/// Nodes of a Galera cluster.
const GALERA_NODES: usize = 3;
/// Largest file that stays until the end of the run, in bytes.
const SMALL_MAX: u64 = 1 << 20;

impl Bench {
    pub(super) fn with_durability(&mut self) -> anyhow::Result<()> {
        const NAME: &str = "upload 16 KiB, 64 clients, durability full";
        const THREADS: usize = 64;
        if !self.filter.includes(NAME) {
            return Ok(());
        }
        let setup = Setup {
            engine: Engine::Embedded,
            durability: "full",
            database: None,
            variants: self.variants(),
            batches: &[],
        };
        let (size, round) = (self.scale.small.size, self.scale.round);
        let clusters = self.start_clusters("full", &setup)?;
        let folder = self.scratch.join("synced");
        let Some(comparison) = self.compare(
            NAME,
            &clusters,
            &|target| self.upload(target, size, THREADS),
            &mut || {
                let folder = folder.join(seed().to_string());
                let syncer = |idx| FileSyncer::new(&folder, idx, size);
                let syncers = (0..THREADS).map(syncer).collect::<Result<Vec<_>, _>>()?;
                run(syncers, &[std::process::id()], round)
            },
        ) else {
            return Ok(());
        };
        let row = comparison.row(Metric::Rate, "64 threads write, fdatasync, rename");
        self.rows.push(row.goal(0.6));
        self.keep(&comparison, Metric::Rate);
        Ok(())
    }

    pub(super) fn with_mariadb(&mut self) -> anyhow::Result<()> {
        const NAME: &str = "upload 16 KiB, 8 threads, MariaDB";
        if !self.filter.includes(NAME) {
            return Ok(());
        }
        let database = Database::Mariadb(Mariadb::start_with(&[
            // As durable as the files of these rows: it survives kill -9, not a power cut.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=1G",
            "--innodb-log-file-size=256M",
        ]));
        self.with_database(NAME, &database, self.variants())
    }

    /// Without the variants: rows of millions of other files take Galera too long.
    pub(super) fn with_galera(&mut self) -> anyhow::Result<()> {
        const NAME: &str = "upload 16 KiB, 8 threads, Galera";
        if !self.filter.includes(NAME) {
            return Ok(());
        }
        let database = Database::Galera(Galera::start(GALERA_NODES));
        self.with_database(NAME, &database, Variants::default())
    }

    fn with_database(
        &mut self,
        name: &str,
        database: &Database,
        variants: Variants,
    ) -> anyhow::Result<()> {
        const THREADS: usize = 8;
        let server = database.first();
        server.create_database("limits");
        let setup = Setup {
            engine: Engine::Embedded,
            durability: "none",
            database: Some(database),
            variants,
            batches: &[],
        };
        let (size, round) = (self.scale.small.size, self.scale.round);
        let clusters = self.start_clusters("database", &setup)?;
        let Some(comparison) = self.compare(
            name,
            &clusters,
            &|target| self.upload(target, size, THREADS),
            &mut || {
                let inserter = |_| MariadbInserter::new(server, "limits", seed());
                let inserters = (0..THREADS).map(inserter).collect::<anyhow::Result<_>>()?;
                run::<MariadbInserter>(inserters, &database.pids(), round)
            },
        ) else {
            return Ok(());
        };
        let against = "the same server, 8 connections, a row for each commit";
        self.rows.push(comparison.row(Metric::Rate, against));
        self.keep(&comparison, Metric::Rate);
        Ok(())
    }

    pub(super) fn small_uploads(&mut self, clusters: &ClusterSet) -> anyhow::Result<()> {
        let (size, round) = (self.scale.small.size, self.scale.round);
        let path = self.scratch.join("limit.db");
        let Some(comparison) = self.compare(
            "upload 16 KiB, 8 threads, SQLite",
            clusters,
            &|target| self.upload(target, size, 8),
            &mut || {
                run(
                    vec![SqliteInserter::open(&path)?],
                    &[std::process::id()],
                    round,
                )
            },
        ) else {
            return Ok(());
        };
        self.rows
            .push(comparison.row(Metric::Rate, "SQLite, a row for each commit"));
        self.keep(&comparison, Metric::Rate);
        Ok(())
    }

    pub(super) fn upload_large(&mut self, clusters: &ClusterSet) -> anyhow::Result<()> {
        const THREADS: usize = 2;
        let (size, round) = (self.scale.large.size, self.scale.round);
        let mut sinks = Vec::new();
        for what in [PlainServer::Sink, PlainServer::ReservingSink] {
            let folder = folder_of(what, &self.scratch);
            std::fs::create_dir_all(&folder)?;
            let (sink, addr) = self.start_plain_server(what, &folder)?;
            sinks.push((sink, addr, folder));
        }
        let Some(comparison) = self.compare(
            "upload 100 MiB, 2 threads, durability none",
            clusters,
            &|target| self.upload(target, size, THREADS),
            &mut || {
                // The faster of both in each round.
                let mut best: Option<Measurement> = None;
                for (sink, addr, folder) in &sinks {
                    let uploader = |_| PlainUploader::new(*addr, size, seed());
                    let uploaders = (0..THREADS).map(uploader).collect::<Result<Vec<_>, _>>()?;
                    let measured = run(uploaders, &[sink.pid()], round)?;
                    empty(folder)?;
                    let rate = measured.figures.mb_per_second;
                    if best
                        .as_ref()
                        .is_none_or(|best| best.figures.mb_per_second < rate)
                    {
                        best = Some(measured);
                    }
                }
                best.context("there are sinks")
            },
        ) else {
            return Ok(());
        };
        self.rows.push(
            comparison
                .row(Metric::Bytes, "plain sink to disk")
                .goal(0.85),
        );
        let cpu = comparison.side_row(Metric::CpuPerGb, "CPU", "plain sink to disk");
        self.rows.push(cpu.goal(1.0 / 1.25));
        self.keep(&comparison, Metric::Bytes);
        Ok(())
    }

    /// A round of uploads of one size. Small files stay until the end of the run: to create a file, an
    /// ext4 without a journal looks at every file that was removed within the last minute, so later
    /// rounds would be slower than earlier ones.
    pub(super) fn upload(
        &self,
        target: &BenchCluster,
        size: u64,
        n_threads: usize,
    ) -> anyhow::Result<Measurement> {
        let (text, list) = (size.to_string(), self.scratch.join("kept.json"));
        let list = list.to_string_lossy();
        let mut args = vec!["--mix=upload", "--size", &text];
        if size <= SMALL_MAX {
            args.extend(["--keep", &*list]);
        }
        target.round(&args, n_threads, self.scale.round)
    }
}
