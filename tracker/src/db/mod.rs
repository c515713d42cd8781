//! The groups, and which of them each user is bound to.

mod mysql;
mod sqlite;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use db::{Availability, DatabaseUrl, DbError, Mysql};
use log::debug;
use proto::{AppId, ClusterId, GroupName, UserId};

use crate::config::Config;

/// The group a user goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) group: GroupName,
    /// Whether a row says so of exactly this user; else it is what a C++ tracker goes by.
    pub(crate) is_own: bool,
}

/// The tables `t_groups_info` and `t_router` (docs/protocol.md, Tables). One suite of tests holds for
/// every engine.
pub(crate) trait Routes: Send + Sync {
    /// Enters the groups that are not there yet and were not closed. Of a database that is away an engine remembers
    /// them and enters them before groups are asked for.
    fn add_groups(&self, groups: &[GroupName]) -> Result<(), DbError>;

    /// Gives new users to a group, also if it was closed.
    fn open_group(&self, group: &GroupName) -> Result<(), DbError>;

    /// Gives no more users to a group; [`Routes::add_groups`] passes it over from now on.
    fn close_group(&self, group: &GroupName) -> Result<(), DbError>;

    /// All groups that are not closed, each once, by name.
    fn groups(&self) -> Result<Vec<GroupName>, DbError>;

    /// The groups that were closed and not opened since, by name.
    fn closed_groups(&self) -> Result<Vec<GroupName>, DbError>;

    /// The group a user is bound to. Users compare byte for byte. Of several rows, which the C++
    /// system may have written, the one with the lowest id counts.
    ///
    /// A user without a row may still have a group where C++ trackers can write: theirs look for
    /// the user id alone, in the collation of the column, and take the row with the lowest id
    /// (docs/protocol.md, Routing).
    fn find(&self, app: &AppId, user: &UserId) -> Result<Option<Binding>, DbError>;

    /// Binds a user to `candidate` unless the user is bound already, durably, and tells the group
    /// the user is bound to now: the same to everybody who asks, however many ask at once.
    fn bind(&self, app: &AppId, user: &UserId, candidate: &GroupName)
    -> Result<GroupName, DbError>;

    /// Binds a user to `to` if the user is bound to `from`, durably, and tells the group the user
    /// is bound to now.
    fn rebind(
        &self,
        app: &AppId,
        user: &UserId,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<Option<GroupName>, DbError>;

    /// The cluster this database belongs to: an id that is made with the first question. `None` after
    /// [`Routes::unname_cluster`].
    fn cluster(&self) -> Result<Option<ClusterId>, DbError>;

    /// Gives the database this id if it has none.
    fn name_cluster(&self, cluster: &ClusterId) -> Result<(), DbError>;

    /// Takes the database's id away, durably, so that it may be given that of the storages.
    fn unname_cluster(&self) -> Result<(), DbError>;

    /// Whether the database can be used, from memory.
    fn availability(&self) -> Availability;

    /// Finishes what waits to be written.
    fn close(&self);
}

/// Opens the database of the configuration. A MySQL database may be away: it is waited for.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Routes>, DbError> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteRoutes::open(path)?)),
        DatabaseUrl::Mysql(url) => Ok(Box::new(mysql::MysqlRoutes::open(url, &config.mysql)?)),
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

/// How long [`adopt`] waits for the database.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Has the database taken for the one that the storages know, whichever that was: the trackers give
/// it the id that most storages remember.
///
/// # Errors
/// The database cannot be used.
pub(crate) fn adopt(config: &Config) -> Result<Vec<String>, DbError> {
    let routes = open(config)?;
    let (pause, deadline) = (Stop::new(), Instant::now() + ADOPT_TIMEOUT);
    loop {
        match routes.cluster().and_then(|_| routes.unname_cluster()) {
            // A server is looked for.
            Err(e) if e.is_awaited() && Instant::now() < deadline => {
                pause.wait(Duration::from_millis(100));
            }
            done => {
                routes.close();
                done?;
                let line = "the database is taken as it is: trackers give it the id of the cluster \
                    that most storages remember";
                return Ok(vec![line.to_owned()]);
            }
        }
    }
}

/// An id that no other database has.
fn fresh_cluster() -> ClusterId {
    let id = format!("{:032x}", rand::random::<u128>());
    ClusterId::new(id).expect("hex digits are an id")
}

/// The id as it is in the database.
fn cluster_of(id: &str) -> Result<Option<ClusterId>, DbError> {
    if id.is_empty() {
        return Ok(None);
    }
    let id = ClusterId::new(id).map_err(|e| DbError::Other {
        what: "use the id of the cluster",
        source: Arc::new(e),
    })?;
    Ok(Some(id))
}

/// No storage can join a group of a name that is none, so no user is bound to it.
fn valid(name: String) -> Option<GroupName> {
    let checked = GroupName::new(name.as_str());
    let checked = checked.inspect_err(|e| debug!("group {name:?} is passed over: {e}"));
    checked.ok()
}

#[cfg(test)]
mod tests;
