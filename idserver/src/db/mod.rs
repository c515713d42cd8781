//! The table with a row for each key.

mod mysql;
mod sqlite;

use std::ops::Range;

use db::{Availability, DatabaseUrl, DbError, Mysql, MysqlConfig};
use proto::IdKey;

/// The table `t_id_gen` (docs/protocol.md, Tables). One suite of tests holds for every engine.
pub(crate) trait Ids: Send + Sync {
    /// Reserves the next `step` numbers of a key, from 0 for a new key; in a table of the C++ system it skips
    /// some first. They are committed, and survive a power cut, when this returns. `None` when the key has
    /// fewer numbers below 2^63 or its row holds no number.
    ///
    /// # Errors
    /// The numbers are not reserved, or reserved and skipped for ever.
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError>;

    /// True when a key has a row.
    ///
    /// # Errors
    /// The database does not answer.
    fn has(&self, key: &IdKey) -> Result<bool, DbError>;

    /// The number of rows, counted up to `max`.
    ///
    /// # Errors
    /// The database does not answer.
    fn count(&self, max: u32) -> Result<u32, DbError>;

    /// Whether the latest statements succeeded, without asking the database.
    fn availability(&self) -> Availability;

    /// Writes what is queued and closes the connections.
    fn close(&self);
}

/// Opens the database of the configuration. A MySQL database may be away; connections are made later.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(
    database: &DatabaseUrl,
    mysql: &MysqlConfig,
    cpp_step: u32,
) -> Result<Box<dyn Ids>, DbError> {
    match database {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteIds::open(path)?)),
        DatabaseUrl::Mysql(url) => Ok(Box::new(mysql::MysqlIds::open(url, mysql, cpp_step)?)),
    }
}

/// Makes the missing tables and columns. Returns a line for each thing that was done.
///
/// # Errors
/// The database cannot be used, or its tables are of a later version.
pub(crate) fn init(database: &DatabaseUrl, mysql: &MysqlConfig) -> Result<Vec<String>, DbError> {
    match database {
        DatabaseUrl::Sqlite(path) => sqlite::init(path),
        DatabaseUrl::Mysql(url) => Mysql::init(url, mysql, &mysql::SCHEMA),
    }
}

#[cfg(test)]
mod tests;
