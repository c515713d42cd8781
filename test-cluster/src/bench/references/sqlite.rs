//! SQLite itself. Its commit rate: one row per transaction, with the table and the settings of a storage
//! with durability none. And its rate of lists of a user's rows, in the database of a storage.

use std::io;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use bench::{Meter, OperationResult, Worker};
use proto::{UserId, file_table};
use rusqlite::{Connection, OpenFlags, params};

use super::done;
use crate::plan::{APP, USER};

/// Rows of one list, as in a reply of a storage.
const LISTED_MAX: usize = 1000;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS t_file (
    id varchar(256) NOT NULL PRIMARY KEY,
    appid varchar(32) NOT NULL,
    userid varchar(128) NOT NULL,
    file_path varchar(512) NOT NULL,
    file_size bigint NOT NULL,
    create_time timestamp NOT NULL DEFAULT current_timestamp
);
";

const INSERT: &str = "
INSERT INTO t_file (id, appid, userid, file_path, file_size)
VALUES (lower(hex(randomblob(18))), 'tnvideo', 'tnv001', ?1, 16384)
";

/// The only writer of a database.
pub(in crate::bench) struct SqliteInserter {
    connection: Connection,
    number: u64,
}

impl SqliteInserter {
    pub(in crate::bench) fn open(path: &Path) -> anyhow::Result<SqliteInserter> {
        let connection = Connection::open(path)?;
        connection
            .execute_batch(SCHEMA)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(SqliteInserter {
            connection,
            number: 0,
        })
    }

    fn insert(&mut self) -> rusqlite::Result<()> {
        self.number += 1;
        let path = format!("store/group001/00/00/{:036}", self.number);
        self.connection
            .prepare_cached(INSERT)?
            .execute(params![path])?;
        Ok(())
    }
}

impl Worker for SqliteInserter {
    fn step(&mut self, _: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.insert().map_err(io::Error::other))
    }
}

/// Reads the first rows of a user from the database of a storage.
pub(in crate::bench) struct SqliteLister {
    connection: Connection,
    sql: String,
}

impl SqliteLister {
    pub(in crate::bench) fn open(path: &Path) -> anyhow::Result<SqliteLister> {
        let table = file_table(&UserId::new(USER)?);
        Ok(SqliteLister {
            connection: Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            sql: format!(
                "SELECT id, file_size, unixepoch(create_time) FROM t_file_{table:02} \
                 WHERE userid = ?1 AND appid = ?2 ORDER BY id LIMIT {LISTED_MAX}"
            ),
        })
    }

    fn list(&self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query([USER, APP])?;
        while let Some(row) = rows.next()? {
            let _: (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        }
        Ok(())
    }
}

impl Worker for SqliteLister {
    fn step(&mut self, _: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.list().map_err(io::Error::other))
    }
}
