//! The rows: measurements of tnv, their references and their goals.

mod downloads;
mod engines;
mod growth;
mod http;
mod requests;
mod slow_readers;
mod uploads;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum as _;

use super::bench_cluster::{Batch, BenchCluster};
use super::cluster_set::{ClusterSet, Setup, Variants};
use super::comparison::Comparison;
use super::measurement::{Measurement, Metric};
use super::options::Options;
use super::references::{PlainServer, Redis, Round};
use super::row::Row;
use super::row_filter::RowFilter;
use super::server_process::ServerProcess;
use crate::layout::Engine;
use crate::ports;
use crate::terminal::tell;

/// First port to try for plain servers.
const PORT: u16 = 19_000;

/// The extent of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) n_rounds: usize,
    pub(super) round: Round,
    /// Rows of other files in the filled cluster.
    pub(super) n_rows: u64,
    /// Other files in the store path of a variant of the cluster without durability; zero: no such variant.
    pub(super) n_files: u64,
    pub(super) small: Batch,
    pub(super) large: Batch,
    pub(super) huge: Batch,
    pub(super) n_slow: usize,
}

/// A run and its rows so far.
pub(super) struct Bench {
    scratch: PathBuf,
    scale: Scale,
    filter: RowFilter,
    engine: Engine,
    has_key: bool,
    rows: Vec<Row>,
    /// The errors of rows that could not be measured. The others are measured all the same.
    failures: RefCell<Vec<String>>,
    /// Rows for the effects of circumstances, shown at the end.
    kept: Vec<Row>,
}

impl Bench {
    pub(super) fn new(
        scratch: PathBuf,
        scale: Scale,
        filter: RowFilter,
        options: &Options,
    ) -> Bench {
        Bench {
            scratch,
            scale,
            filter,
            engine: options.engine,
            has_key: options.key,
            rows: Vec::new(),
            failures: RefCell::default(),
            kept: Vec::new(),
        }
    }

    /// The rows, and the errors of rows that could not be measured.
    pub(super) fn into_rows(self) -> (Vec<Row>, Vec<String>) {
        let rows = self.rows.into_iter().chain(self.kept).collect();
        (rows, self.failures.into_inner())
    }

    /// Measures everything. Rows that wait for the disk come first, before many writes are on their
    /// way to it.
    pub(super) fn run(&mut self) -> anyhow::Result<()> {
        self.with_durability()?;
        self.with_mariadb()?;
        if self.engine == Engine::Full {
            self.with_galera()?;
            self.with_glusterfs()?;
        }
        self.with_sqlite()
    }

    fn with_sqlite(&mut self) -> anyhow::Result<()> {
        let Scale {
            small, large, huge, ..
        } = self.scale;
        let batches = [small, large, huge];
        let setup = Setup {
            engine: Engine::Embedded,
            durability: "none",
            database: None,
            variants: Variants {
                n_files: self.scale.n_files,
                remote: true,
                ..self.variants()
            },
            batches: &batches,
        };
        let mut clusters = self.start_clusters("none", &setup)?;
        let media = clusters.publish(&self.scratch, &batches)?;
        self.small_uploads(&clusters)?;
        let redis = Redis::start(&self.scratch)?;
        self.small_downloads(&clusters, &redis)?;
        self.small_requests(&clusters, &redis)?;
        self.lists(&clusters)?;
        self.download_large(&clusters, &media)?;
        self.upload_large(&clusters)?;
        self.http(&clusters, &media)?;
        self.growth(&clusters, &media, &redis)?;
        self.slow_readers(&mut clusters, &media)?;
        clusters
            .memory
            .retain(|row| self.filter.includes(&row.name));
        self.rows.append(&mut clusters.memory);
        Ok(())
    }

    /// The variants of all sets of clusters.
    fn variants(&self) -> Variants {
        Variants {
            idle: true,
            n_rows: self.scale.n_rows,
            n_files: 0,
            remote: false,
            key: self.has_key,
        }
    }

    fn start_clusters(&self, name: &str, setup: &Setup<'_>) -> anyhow::Result<ClusterSet> {
        ClusterSet::start(&self.scratch.join(name), setup)
    }

    /// The rounds of one row; None if the filter leaves it out, or if they fail.
    fn compare(
        &self,
        name: &str,
        clusters: &ClusterSet,
        ours: &dyn Fn(&BenchCluster) -> anyhow::Result<Measurement>,
        reference: &mut dyn FnMut() -> anyhow::Result<Measurement>,
    ) -> Option<Comparison> {
        let run = || Comparison::run(name, self.scale.n_rounds, clusters, ours, reference);
        let measured = self.filter.includes(name).then(run)?;
        measured.map_err(|error| self.fail(name, &error)).ok()
    }

    fn fail(&self, name: &str, error: &anyhow::Error) {
        let failure = format!("{name}: {error:#}");
        tell(&failure);
        self.failures.borrow_mut().push(failure);
    }

    fn keep(&mut self, comparison: &Comparison, metric: Metric) {
        self.kept.extend(comparison.kept(metric));
    }

    /// Starts a plain server in its own process, so that its processor time can be measured.
    fn start_plain_server(
        &self,
        what: PlainServer,
        folder: &Path,
    ) -> anyhow::Result<(ServerProcess, SocketAddr)> {
        let addr = ports::free_from(PORT)?;
        let name = what
            .to_possible_value()
            .context("a value that has a name")?;
        let log = self.scratch.join(format!("{}.log", name.get_name()));
        let address = addr.to_string();
        let folder = folder.to_string_lossy();
        let args = ["serve", name.get_name(), &address, &folder];
        let server = ServerProcess::start_this_program(args, &log)?;
        server.wait_listening(addr)?;
        Ok((server, addr))
    }
}

/// A seed for the next client, so that clients of one kind begin with different files.
fn seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}
