//! Clusters that get the same load: a fresh one, and variants of it with idle connections, with many rows and groups,
//! with many files, with remote storages, and with a cluster key.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use anyhow::Context;

use super::bench_cluster::{Batch, BenchCluster};
use super::database::Database;
use super::fill;
use super::idle_connections::{self, IdleConnections};
use super::references::File;
use super::row::Row;
use super::stored_paths::StoredPaths;
use crate::layout::{Engine, Layout, Settings};
use crate::plan::Role;
use crate::terminal::tell;

/// The clusters.
pub(super) struct ClusterSet {
    pub(super) fresh: BenchCluster,
    pub(super) variants: Vec<Variant>,
    _idle: Option<IdleConnections>,
    /// Rows for the memory of the idle connections.
    pub(super) memory: Vec<Row>,
}

/// A cluster that differs from the fresh one in one circumstance.
pub(super) struct Variant {
    /// The circumstance, as in the table.
    pub(super) label: String,
    pub(super) cluster: BenchCluster,
    /// Goal for the part of its speed that tnv keeps.
    pub(super) goal: Option<f64>,
}

/// Goal for the part of its speed that tnv keeps under a circumstance.
pub(super) const KEPT: f64 = 0.9;
/// The circumstance that all content comes over TCP from the storages.
pub(super) const REMOTE: &str = "remote storage";

/// Settings of all clusters of a set.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) engine: Engine,
    pub(super) durability: &'static str,
    /// The databases, if they are neither SQLite nor those of the engine.
    pub(super) database: Option<&'a Database>,
    /// The variants beside the fresh cluster.
    pub(super) variants: Variants,
    pub(super) batches: &'a [Batch],
}

/// The variants of a set. Zero is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variants {
    /// Idle connections to each server of a variant.
    pub(super) idle: bool,
    /// Rows of other files in a variant, beside many groups.
    pub(super) n_rows: u64,
    /// Other files in the store path of a variant.
    pub(super) n_files: u64,
    /// A variant whose storages pass no open files, as if they were on another machine.
    pub(super) remote: bool,
    /// A variant with a cluster key.
    pub(super) key: bool,
}

impl ClusterSet {
    pub(super) fn start(scratch: &Path, setup: &Setup<'_>) -> anyhow::Result<ClusterSet> {
        let mut set = ClusterSet {
            fresh: setup.start(scratch, "fresh", Settings::default())?,
            variants: Vec::new(),
            _idle: None,
            memory: Vec::new(),
        };
        let Variants {
            idle,
            n_rows,
            n_files,
            remote,
            key,
        } = setup.variants;
        if idle {
            let mut cluster = setup.start(scratch, "crowded", Settings::default())?;
            let (idle, memory) = IdleConnections::open(&mut cluster, scratch)?;
            (set._idle, set.memory) = (Some(idle), memory);
            set.add(format!("{} idle", idle_connections::COUNT), cluster);
        }
        if n_rows > 0 {
            let more_groups = Settings {
                more_groups: fill::groups(),
                ..Settings::default()
            };
            let cluster = setup.start(scratch, "filled", more_groups)?;
            setup.fill(&cluster)?;
            set.add(fill::label(n_rows), cluster);
        }
        if n_files > 0 {
            let cluster = setup.start(scratch, "stocked", Settings::default())?;
            let plan = cluster.cluster.plan();
            for storage in plan.of(Role::Storage) {
                fill::fill_store(&plan.store(storage), n_files)?;
            }
            set.add(format!("{n_files} files"), cluster);
        }
        if remote {
            let over_tcp = Settings {
                local_reads: false,
                ..Settings::default()
            };
            set.variants.push(Variant {
                label: REMOTE.to_owned(),
                cluster: setup.start(scratch, "remote", over_tcp)?,
                goal: None,
            });
        }
        if key {
            let keyed = Settings {
                key: Some("the-key-of-a-benchmark"),
                ..Settings::default()
            };
            let cluster = setup.start(scratch, "keyed", keyed)?;
            set.add("cluster key".to_owned(), cluster);
        }
        // The writes so far must not slow down the measurements.
        rustix::fs::sync();
        Ok(set)
    }

    fn add(&mut self, label: String, cluster: BenchCluster) {
        self.variants.push(Variant {
            label,
            cluster,
            goal: Some(KEPT),
        });
    }

    /// Creates a folder with links to the files of the fresh cluster, named by their ids.
    pub(super) fn publish(&self, scratch: &Path, batches: &[Batch]) -> anyhow::Result<PathBuf> {
        let folder = scratch.join("media");
        fs::create_dir_all(&folder)?;
        let plan = self.fresh.cluster.plan();
        let storage = plan.of(Role::Storage).next().context("a storage")?;
        let paths = StoredPaths::open(plan)?;
        for batch in batches {
            for file in File::list(Path::new(&self.fresh.list(*batch)))? {
                let path = plan.work_folder(storage).join(paths.find(&file.id)?);
                symlink(path, folder.join(&file.id))?;
            }
        }
        Ok(folder)
    }
}

impl Setup<'_> {
    fn start(
        &self,
        scratch: &Path,
        name: &str,
        settings: Settings,
    ) -> anyhow::Result<BenchCluster> {
        tell(format_args!("starting the {name} cluster"));
        let mut layout = Layout::small(1);
        layout.engine = self.engine;
        layout.settings = Settings {
            // The members of the other groups beat only once.
            check_interval: "1h",
            idle_timeout: "1h",
            durability: self.durability,
            mysql: self.database.map(|database| database.create(name)),
            ..settings
        };
        let others = self.database.map_or(Vec::new(), Database::pids);
        let cluster = BenchCluster::start(&layout, &scratch.join(name), &others)?;
        // The first upload binds the user to the only group that has a member.
        let first = Batch {
            name: "first",
            count: 1,
            size: 1,
        };
        let batches = iter::once(&first).chain(self.batches);
        batches
            .copied()
            .try_for_each(|batch| cluster.store(batch))?;
        Ok(cluster)
    }

    fn fill(&self, target: &BenchCluster) -> anyhow::Result<()> {
        let n_rows = self.variants.n_rows;
        tell(format_args!("filling its tables with {n_rows} rows"));
        match self.database {
            Some(database) => fill::fill_mariadb(database.first(), "filled_storage", n_rows),
            None => {
                let path = target.cluster.plan().database(Role::Storage);
                fill::fill_sqlite(&path, n_rows)?;
            }
        }
        fill::join_members(target.cluster.addresses(Role::Tracker)[0])
    }
}
