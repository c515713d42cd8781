//! The rows of the keys.

mod sqlite;

use std::ops::Range;

use daemon::db::{DatabaseUrl, DbError};
use proto::IdKey;

/// The table `t_id_gen` (protocol.md, Tables). One suite of tests holds for every engine.
pub(crate) trait Ids: Send + Sync {
    /// Reserves the next `step` numbers of a key, a new one from 0 on. They are committed, and
    /// safe from a power cut, when this returns. `None` when the key has not so many left below
    /// 2^63 or its row holds no number.
    ///
    /// # Errors
    /// The numbers are not reserved, or nobody will ever use them.
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError>;

    /// Finishes what waits to be written.
    fn close(&self);
}

/// Opens the database a URL names.
///
/// # Errors
/// It cannot be opened, or its engine is not one of this build.
pub(crate) fn open(url: &DatabaseUrl) -> anyhow::Result<Box<dyn Ids>> {
    match url {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteIds::open(path)?)),
        DatabaseUrl::Mysql(_) => anyhow::bail!("{url}: only sqlite: is supported in this version"),
    }
}

#[cfg(test)]
mod tests;
