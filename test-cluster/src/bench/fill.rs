//! Filled clusters: rows of other files in the tables, other groups with members on the tracker, and other files in
//! the store path.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use client::{Connection, ConnectionConfig};
use proto::storage_path::storage_path;
use proto::tracker::{self, Join, Member, TrackerRequest};
use proto::{GroupName, Hostname};
use rusqlite::Connection as Sqlite;
use test_mariadb::Mariadb;

use crate::terminal::tell;

/// Groups beside the measured one.
pub(super) const GROUPS: usize = 1000;
/// Members of each of these groups.
const MEMBERS: u16 = 10;
/// Rows of one statement.
const BATCH: u64 = 200_000;
/// Rows of each user.
const ROWS_PER_USER: u64 = 100;

/// Threads that create files.
const CREATORS: u64 = 2;
/// Files of a folder (docs/protocol.md, The storage path).
const FILES_PER_FOLDER: u64 = 512;

/// The circumstance of a filled cluster.
pub(super) fn label(n_rows: u64) -> String {
    format!("{n_rows} rows, {GROUPS} groups of {MEMBERS}")
}

/// The names of the other groups.
pub(super) fn groups() -> Vec<String> {
    (0..GROUPS).map(|idx| format!("other{idx:04}")).collect()
}

/// Inserts `count` rows of other users into the three file tables of SQLite, without the storage.
pub(super) fn fill_sqlite(path: &Path, count: u64) -> anyhow::Result<()> {
    let fill = || -> rusqlite::Result<()> {
        let db = Sqlite::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(60))?;
        db.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")?;
        for (table, from, to) in batches(count) {
            db.execute_batch(&sqlite_batch(table, from, to))?;
        }
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE")
    };
    fill().with_context(|| format!("cannot fill {}", path.display()))
}

fn sqlite_batch(table: u64, from: u64, to: u64) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})
         INSERT INTO t_file_0{table}
            (id, appid, userid, file_path, file_size, group_name, checksum)
         SELECT printf('%036x', i), 'tnvideo', printf('user%08d', i / {ROWS_PER_USER}),
            printf('store/group001/00/00/%036x', i), 16384, 'group001', randomblob(16) FROM n"
    )
}

/// Like [`fill_sqlite`], for MariaDB.
pub(super) fn fill_mariadb(server: &Mariadb, database: &str, count: u64) {
    for (table, from, to) in batches(count) {
        let last = to - 1;
        let sql = format!(
            "INSERT INTO t_file_0{table}
                (id, appid, userid, file_path, file_size, group_name, checksum)
             SELECT lpad(hex(seq), 36, '0'), 'tnvideo',
                concat('user', lpad(seq DIV {ROWS_PER_USER}, 8, '0')),
                concat('store/group001/00/00/', lpad(hex(seq), 36, '0')), 16384, 'group001',
                unhex(md5(seq)) FROM seq_{from}_to_{last}"
        );
        server.execute(database, &sql);
    }
}

/// Table, first number and end (exclusive) of each statement.
fn batches(count: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let per_table = count.div_ceil(3);
    (0..3).flat_map(move |table| {
        let (first, end) = (1 + table * per_table, 1 + (table + 1) * per_table);
        let starts = (first..end).step_by(BATCH as usize);
        starts.map(move |from| (table + 1, from, (from + BATCH).min(end)))
    })
}

/// Joins the members of the other groups to a tracker. They beat once, so its `check_interval` must be
/// long.
pub(super) fn join_members(tracker: SocketAddr) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = i64::try_from(now)?;
    let mut connection = Connection::connect(&tracker.into(), &ConnectionConfig::default())?;
    for (idx, group) in groups().iter().enumerate() {
        for member_idx in 0..MEMBERS {
            let number = u16::try_from(idx)? * MEMBERS + member_idx;
            let member = Member {
                group: GroupName::new(group.as_str())?,
                hostname: Hostname::new(format!("other{number}"))?,
            };
            let join = TrackerRequest::Join(Join {
                version: env!("CARGO_PKG_VERSION").parse()?,
                member: member.clone(),
                port: 1 + number,
                start_time: now,
                join_time: now,
            });
            connection.call(&join.encode(), tracker::REPLY, 0)?;
            let beat = TrackerRequest::Beat(member);
            connection.call(&beat.encode(), tracker::REPLY, 0)?;
        }
    }
    tell(format_args!(
        "{GROUPS} groups of {MEMBERS} members joined the tracker"
    ));
    Ok(())
}

/// Creates `count` empty files in a store path, named like files of the first numbers.
pub(super) fn fill_store(store: &Path, count: u64) -> anyhow::Result<()> {
    tell(format_args!("filling its store path with {count} files"));
    let n_folders = count.div_ceil(FILES_PER_FOLDER);
    let create = |first: u64| -> io::Result<()> {
        for folder in (first..n_folders).step_by(CREATORS as usize) {
            let numbers = folder * FILES_PER_FOLDER..count.min((folder + 1) * FILES_PER_FOLDER);
            for (idx, number) in numbers.enumerate() {
                let path = storage_path(&store.to_string_lossy(), number, 1);
                if idx == 0
                    && let Some(folder) = Path::new(&path).parent()
                {
                    fs::create_dir_all(folder)?;
                }
                File::create_new(path)?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let create = &create;
        let threads: Vec<_> = (0..CREATORS)
            .map(|idx| scope.spawn(move || create(idx)))
            .collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().expect("a creator does not panic"));
        ended.collect::<io::Result<()>>()
    })
    .with_context(|| format!("cannot fill {}", store.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_each_row_once() {
        let all: Vec<_> = batches(3_000_000).collect();
        let rows: u64 = all.iter().map(|(_, from, to)| to - from).sum();
        assert_eq!(
            (rows, all[0].1, all[all.len() - 1].2),
            (3_000_000, 1, 3_000_001)
        );
        assert!(all.windows(2).all(|pair| pair[0].2 == pair[1].1));
        assert!(
            all.iter()
                .all(|&(table, from, to)| (1..=3).contains(&table) && from < to)
        );
    }

    #[test]
    fn a_store_path_gets_as_many_files_as_it_should() {
        let store = tempfile::tempdir().unwrap();
        fill_store(store.path(), 1025).unwrap();
        let folder = |name: &str| store.path().join("000/000").join(name);
        let count = |name: &str| fs::read_dir(folder(name)).unwrap().count();
        assert_eq!([count("000"), count("001"), count("002")], [512, 512, 1]);
        assert!(folder("002").join("1_000").is_file());
    }
}
