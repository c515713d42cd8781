//! The groups, and which of them each user is bound to.

mod sqlite;

use daemon::db::{DatabaseUrl, DbError};
use proto::{AppId, GroupName, UserId};

/// The tables `t_groups_info` and `t_router` (protocol.md, Tables). One suite of tests holds for
/// every engine.
pub(crate) trait Routes: Send + Sync {
    /// Enters the groups that are not there yet.
    fn add_groups(&self, groups: &[GroupName]) -> Result<(), DbError>;

    /// All groups, each once, by name.
    fn groups(&self) -> Result<Vec<GroupName>, DbError>;

    /// The group a user is bound to. Users compare byte for byte. Of several rows, which the C++
    /// system may have written, the one with the lowest id counts.
    fn find(&self, app: &AppId, user: &UserId) -> Result<Option<GroupName>, DbError>;

    /// Binds a user to `candidate` unless the user is bound already, durably, and tells the group
    /// the user is bound to now: the same to everybody who asks, however many ask at once.
    fn bind(&self, app: &AppId, user: &UserId, candidate: &GroupName)
    -> Result<GroupName, DbError>;

    /// Finishes what waits to be written.
    fn close(&self);
}

/// Opens the database a URL names.
///
/// # Errors
/// It cannot be opened, or its engine is not one of this build.
pub(crate) fn open(url: &DatabaseUrl) -> anyhow::Result<Box<dyn Routes>> {
    match url {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteRoutes::open(path)?)),
        DatabaseUrl::Mysql(_) => anyhow::bail!("{url}: only sqlite: is supported in this version"),
    }
}

#[cfg(test)]
mod tests;
