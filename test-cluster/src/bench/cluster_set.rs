//! Three clusters that get the same load: a fresh one, one with idle connections, and one with many
//! rows and groups.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use anyhow::Context;
use test_mariadb::Mariadb;

use super::bench_cluster::{Batch, BenchCluster};
use super::fill;
use super::idle_connections::IdleConnections;
use super::references::File;
use super::row::Row;
use crate::layout::{Layout, Mysql, Settings};
use crate::plan::Role;
use crate::terminal::tell;

/// The clusters.
pub(super) struct ClusterSet {
    pub(super) fresh: BenchCluster,
    /// With idle connections.
    pub(super) crowded: BenchCluster,
    /// With many rows and groups.
    pub(super) filled: BenchCluster,
    _idle: IdleConnections,
    /// Rows for the memory of the idle connections.
    pub(super) memory: Vec<Row>,
}

/// Settings of all clusters of a set.
pub(super) struct Setup<'a> {
    pub(super) durability: &'static str,
    pub(super) mariadb: Option<&'a Mariadb>,
    /// Rows of other files in the filled cluster.
    pub(super) n_rows: u64,
    pub(super) batches: &'a [Batch],
}

impl ClusterSet {
    pub(super) fn start(scratch: &Path, setup: &Setup<'_>) -> anyhow::Result<ClusterSet> {
        let fresh = setup.start(scratch, "fresh", Vec::new())?;
        let mut crowded = setup.start(scratch, "crowded", Vec::new())?;
        let filled = setup.start(scratch, "filled", fill::groups())?;
        setup.fill(&filled)?;
        let (idle, memory) = IdleConnections::open(&mut crowded, scratch)?;
        // The writes so far must not slow down the measurements.
        rustix::fs::sync();
        Ok(ClusterSet {
            fresh,
            crowded,
            filled,
            _idle: idle,
            memory,
        })
    }

    /// Creates a folder with links to the files of the fresh cluster, named by their ids.
    pub(super) fn publish(&self, scratch: &Path, batches: &[Batch]) -> anyhow::Result<PathBuf> {
        let folder = scratch.join("media");
        fs::create_dir_all(&folder)?;
        let plan = self.fresh.cluster.plan();
        let db = rusqlite::Connection::open(plan.database(Role::Storage))?;
        for batch in batches {
            for file in File::list(Path::new(&self.fresh.list(*batch)))? {
                let path: String = db
                    .query_row(FIND, [&file.id], |row| row.get(0))
                    .with_context(|| format!("no row of {}", file.id))?;
                symlink(plan.folder.join(path), folder.join(&file.id))?;
            }
        }
        Ok(folder)
    }
}

const FIND: &str = "
SELECT file_path FROM (SELECT id, file_path FROM t_file_01
    UNION ALL SELECT id, file_path FROM t_file_02
    UNION ALL SELECT id, file_path FROM t_file_03)
WHERE id = ?1
";

impl Setup<'_> {
    fn start(
        &self,
        scratch: &Path,
        name: &str,
        more_groups: Vec<String>,
    ) -> anyhow::Result<BenchCluster> {
        tell(format_args!("starting the {name} cluster"));
        let mysql = self.mariadb.map(|server| mysql_of(server, name));
        let mut layout = Layout::small(1);
        layout.settings = Settings {
            // The members of the other groups beat only once.
            check_interval: "1h",
            idle_timeout: "1h",
            durability: self.durability,
            more_groups,
            mysql,
            ..Settings::default()
        };
        let others: Vec<u32> = self.mariadb.and_then(Mariadb::pid).into_iter().collect();
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
        tell(format_args!("filling its tables with {} rows", self.n_rows));
        match self.mariadb {
            Some(server) => fill::fill_mariadb(server, "filled_storage", self.n_rows),
            None => {
                let path = target.cluster.plan().database(Role::Storage);
                fill::fill_sqlite(&path, self.n_rows)?;
            }
        }
        fill::join_members(target.cluster.addresses(Role::Tracker)[0])
    }
}

/// Creates the databases of one cluster.
fn mysql_of(server: &Mariadb, name: &str) -> Mysql {
    for role in [Role::Tracker, Role::Idserver, Role::Storage] {
        server.create_database(&format!("{name}_{}", role.as_str()));
    }
    Mysql {
        url: server.url(name),
        password_file: server.password_file(),
    }
}
