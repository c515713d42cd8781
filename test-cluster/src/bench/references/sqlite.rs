//! The commit rate of SQLite: one row per transaction, with the table and the settings of a storage
//! with durability none.

use std::io;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use bench::{Meter, OperationResult, Worker};
use rusqlite::{Connection, params};

use super::done;

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
