//! Three clusters that differ in one thing each: a new one, one whose servers hold idle
//! connections, and one with many rows and groups. The same load goes to each in turn.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use anyhow::Context;
use test_mariadb::Mariadb;

use super::fill;
use super::holder::Idle;
use super::limits::File;
use super::row::Row;
use super::stand::{Batch, Stand};
use crate::layout::{Layout, Mysql, Settings};
use crate::plan::Role;
use crate::terminal::tell;

/// The clusters.
pub(super) struct Trio {
    pub(super) new: Stand,
    pub(super) busy: Stand,
    pub(super) old: Stand,
    /// Goes before the clusters would miss it: fields are dropped in this order.
    _idle: Idle,
    /// What idle connections cost in memory.
    pub(super) memory: Vec<Row>,
}

/// In what the clusters of one trio differ from those of another.
pub(super) struct Kind<'a> {
    pub(super) durability: &'static str,
    pub(super) mariadb: Option<&'a Mariadb>,
    /// Rows of other files in the old one.
    pub(super) n_rows: u64,
    pub(super) batches: &'a [Batch],
}

impl Trio {
    pub(super) fn start(scratch: &Path, kind: &Kind<'_>) -> anyhow::Result<Trio> {
        let new = kind.stand(scratch, "new", Vec::new())?;
        let mut busy = kind.stand(scratch, "busy", Vec::new())?;
        let old = kind.stand(scratch, "old", fill::groups())?;
        kind.fill(&old)?;
        let (idle, memory) = Idle::start(&mut busy, scratch)?;
        // What was written so far must not be on its way to the disk while others are measured.
        rustix::fs::sync();
        Ok(Trio {
            new,
            busy,
            old,
            _idle: idle,
            memory,
        })
    }

    /// A folder in which the files of the new cluster can be had by their ids.
    pub(super) fn publish(&self, scratch: &Path, batches: &[Batch]) -> anyhow::Result<PathBuf> {
        let folder = scratch.join("media");
        fs::create_dir_all(&folder)?;
        let plan = self.new.cluster.plan();
        let db = rusqlite::Connection::open(plan.database(Role::Storage))?;
        for batch in batches {
            for file in File::list(Path::new(&self.new.list(*batch)))? {
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

impl Kind<'_> {
    fn stand(&self, scratch: &Path, name: &str, more_groups: Vec<String>) -> anyhow::Result<Stand> {
        tell(format_args!("starting the {name} cluster"));
        let mysql = self.mariadb.map(|server| mysql_of(server, name));
        let mut layout = Layout::small(1);
        layout.settings = Settings {
            // Members of other groups beat once only.
            check_interval: "1h",
            idle_timeout: "1h",
            durability: self.durability,
            more_groups,
            mysql,
            ..Settings::default()
        };
        let others: Vec<u32> = self.mariadb.and_then(Mariadb::pid).into_iter().collect();
        let stand = Stand::start(&layout, &scratch.join(name), &others)?;
        // The user is bound to the only group that has a member.
        let first = Batch {
            name: "first",
            count: 1,
            size: 1,
        };
        let batches = iter::once(&first).chain(self.batches);
        batches.copied().try_for_each(|batch| stand.store(batch))?;
        Ok(stand)
    }

    fn fill(&self, stand: &Stand) -> anyhow::Result<()> {
        tell(format_args!("filling its tables with {} rows", self.n_rows));
        match self.mariadb {
            Some(server) => fill::fill_mariadb(server, "old_storage", self.n_rows),
            None => {
                let path = stand.cluster.plan().database(Role::Storage);
                fill::fill_sqlite(&path, self.n_rows)?;
            }
        }
        fill::join_members(stand.cluster.addresses(Role::Tracker)[0])
    }
}

/// Databases of their own for one cluster.
fn mysql_of(server: &Mariadb, name: &str) -> Mysql {
    for role in [Role::Tracker, Role::Idserver, Role::Storage] {
        server.create_database(&format!("{name}_{}", role.as_str()));
    }
    Mysql {
        url: server.url(name),
        password_file: server.password_file(),
    }
}
