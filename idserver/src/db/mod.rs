//! The rows of the keys.

mod mysql;
mod sqlite;

use std::ops::Range;

use db::{Availability, DatabaseUrl, DbError, Mysql};
use proto::IdKey;

use crate::config::Config;

/// The table `t_id_gen` (docs/protocol.md, Tables). One suite of tests holds for every engine.
pub(crate) trait Ids: Send + Sync {
    /// Reserves the next `step` numbers of a key, a new one from 0 on; beside C++ idservers not the very
    /// next. They are committed, and
    /// safe from a power cut, when this returns. `None` when the key has not so many left below
    /// 2^63 or its row holds no number.
    ///
    /// # Errors
    /// The numbers are not reserved, or nobody will ever use them.
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError>;

    /// Whether a key has a row.
    ///
    /// # Errors
    /// The database does not say.
    fn has(&self, key: &IdKey) -> Result<bool, DbError>;

    /// How many rows there are; no more than `max` of them are counted.
    ///
    /// # Errors
    /// The database does not say.
    fn count(&self, max: u32) -> Result<u32, DbError>;

    /// Whether the database can be used, from memory.
    fn availability(&self) -> Availability;

    /// Finishes what waits to be written.
    fn close(&self);
}

/// Opens the database of the configuration. A MySQL database may be away: it is waited for.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Ids>, DbError> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteIds::open(path)?)),
        DatabaseUrl::Mysql(url) => Ok(Box::new(mysql::MysqlIds::open(url, config)?)),
    }
}

/// Makes what is missing of the tables and tells what was done, a line for each thing.
///
/// # Errors
/// The database cannot be used, or its tables are of a later version.
pub(crate) fn init(config: &Config) -> Result<Vec<String>, DbError> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => sqlite::init(path),
        DatabaseUrl::Mysql(url) => Mysql::init(url, &config.mysql, &mysql::SCHEMA),
    }
}

#[cfg(test)]
mod tests;
