//! The tables of the groups and of the users' groups.

mod mysql;
mod sqlite;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use db::{Availability, DatabaseUrl, DbError, Mysql, MysqlConfig};
use log::debug;
use proto::{AppId, ClusterId, GroupName, UserId};

/// The group of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) group: GroupName,
    /// True when the row is of exactly this user; false when C++ trackers alone use it for this user.
    pub(crate) is_own: bool,
}

/// The tables `t_groups_info` and `t_router` (docs/protocol.md, Tables). One suite of tests holds for
/// every engine.
pub(crate) trait Routes: Send + Sync {
    /// Adds the groups that are missing and were not closed. While the database is away an engine keeps them
    /// and adds them before groups are read.
    fn add_groups(&self, groups: &[GroupName]) -> Result<(), DbError>;

    /// Opens a group to new users, also a closed one.
    fn open_group(&self, group: &GroupName) -> Result<(), DbError>;

    /// Closes a group to new users; [`Routes::add_groups`] skips it from then on.
    fn close_group(&self, group: &GroupName) -> Result<(), DbError>;

    /// The open groups, each once, by name.
    fn groups(&self) -> Result<Vec<GroupName>, DbError>;

    /// The closed groups, by name.
    fn closed_groups(&self) -> Result<Vec<GroupName>, DbError>;

    /// The group a user is bound to. Users compare byte for byte. Of several rows, which the C++
    /// system may have written, the one with the lowest id counts.
    ///
    /// A user without a row may still have a group where C++ trackers can write: theirs look for
    /// the user id alone, in the collation of the column, and take the row with the lowest id
    /// (docs/protocol.md, Routing).
    fn find(&self, app: &AppId, user: &UserId) -> Result<Option<Binding>, DbError>;

    /// Binds a user to `candidate` unless the user is bound already, durably. Returns the user's group:
    /// concurrent calls all return the same.
    fn bind(&self, app: &AppId, user: &UserId, candidate: &GroupName)
    -> Result<GroupName, DbError>;

    /// Moves a user to `to` if the user is bound to `from`, durably. Returns the user's group.
    fn rebind(
        &self,
        app: &AppId,
        user: &UserId,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<Option<GroupName>, DbError>;

    /// The id of the database's cluster, which the first call makes. `None` after
    /// [`Routes::unname_cluster`].
    fn cluster(&self) -> Result<Option<ClusterId>, DbError>;

    /// Sets the cluster id if it is empty.
    fn name_cluster(&self, cluster: &ClusterId) -> Result<(), DbError>;

    /// Empties the cluster id, durably, so that trackers set the one that the storages remember.
    fn unname_cluster(&self) -> Result<(), DbError>;

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
) -> Result<Box<dyn Routes>, DbError> {
    match database {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteRoutes::open(path)?)),
        DatabaseUrl::Mysql(url) => Ok(Box::new(mysql::MysqlRoutes::open(url, mysql)?)),
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

/// How long [`adopt`] waits for a server of the database.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes this database the one that the storages know: trackers give it the id that most storages remember.
///
/// # Errors
/// The database cannot be used.
pub(crate) fn adopt(database: &DatabaseUrl, mysql: &MysqlConfig) -> Result<Vec<String>, DbError> {
    let routes = open(database, mysql)?;
    let (pause, deadline) = (Stop::new(), Instant::now() + ADOPT_TIMEOUT);
    loop {
        match routes.cluster().and_then(|_| routes.unname_cluster()) {
            // The pool still looks for a server.
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

/// A random cluster id.
fn fresh_cluster() -> ClusterId {
    let id = format!("{:032x}", rand::random::<u128>());
    ClusterId::new(id).expect("hex digits are an id")
}

/// The cluster id of a database, None when it is empty.
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

/// Skips names that are not valid: no storage can join such a group, so no user is bound to it.
fn valid(name: String) -> Option<GroupName> {
    let checked = GroupName::new(name.as_str());
    let checked = checked.inspect_err(|e| debug!("group {name:?} is passed over: {e}"));
    checked.ok()
}

#[cfg(test)]
mod tests;
