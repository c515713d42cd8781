//! The keys in SQLite.

use std::ops::Range;
use std::path::Path;

use db::{Availability, DbError, Sqlite, Synchronous};
use proto::IdKey;
use rusqlite::{OptionalExtension, params};

use super::Ids;

/// The table may have been copied from a C++ system.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS t_id_gen (
    id varchar(64) NOT NULL PRIMARY KEY,
    id_value bigint NOT NULL,
    create_time timestamp NOT NULL DEFAULT current_timestamp,
    update_time timestamp NOT NULL DEFAULT current_timestamp
);
";

/// One statement, so that nothing comes between reading and writing. SQLite would turn a sum beyond 64 bits
/// into a float, so such a row stays as it is.
const RESERVE: &str = "
INSERT INTO t_id_gen (id, id_value) VALUES (?1, ?2)
ON CONFLICT (id) DO UPDATE
    SET id_value = id_value + ?2, update_time = current_timestamp
    WHERE typeof(id_value) = 'integer' AND id_value BETWEEN 0 AND ?3 - ?2
RETURNING id_value
";

const HAS: &str = "SELECT 1 FROM t_id_gen WHERE id = ?1";

const COUNT: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM t_id_gen LIMIT ?1)";

pub(super) struct SqliteIds(Sqlite);

impl SqliteIds {
    pub(super) fn open(path: &Path) -> Result<SqliteIds, DbError> {
        let sqlite = Sqlite::open(path, Synchronous::Full, "idserver", &[SCHEMA])?;
        Ok(SqliteIds(sqlite))
    }
}

/// Makes the file and its tables, or updates them. Returns a line for each thing that was done.
pub(super) fn init(path: &Path) -> Result<Vec<String>, DbError> {
    Sqlite::init(path, "idserver", &[SCHEMA])
}

impl Ids for SqliteIds {
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError> {
        let key = key.clone();
        let end: Option<i64> = self.0.write(move |connection| {
            let mut statement = connection.prepare_cached(RESERVE)?;
            let end = statement.query_row(params![key.as_str(), step, i64::MAX], |row| row.get(0));
            Ok(end.optional()?)
        })?;
        // A row below zero stays as it is, so the end is at least a step above zero.
        let end = end.and_then(|end| u64::try_from(end).ok());
        Ok(end.map(|end| end - u64::from(step)..end))
    }

    fn has(&self, key: &IdKey) -> Result<bool, DbError> {
        self.0
            .read(|connection| Ok(connection.prepare_cached(HAS)?.exists([key.as_str()])?))
    }

    fn count(&self, max: u32) -> Result<u32, DbError> {
        self.0.read(|connection| {
            let mut statement = connection.prepare_cached(COUNT)?;
            Ok(statement.query_row([max], |row| row.get(0))?)
        })
    }

    fn availability(&self) -> Availability {
        self.0.availability()
    }

    fn close(&self) {
        self.0.close();
    }
}
