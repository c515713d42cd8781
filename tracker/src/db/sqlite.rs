//! Groups and users in SQLite.

use std::path::Path;
use std::sync::Arc;

use db::{Availability, DbError, Sqlite, Synchronous};
use proto::{AppId, ClusterId, GroupName, UserId};
use rusqlite::{Connection, OptionalExtension};

use super::{Binding, Routes};

/// The tables may have been copied from a C++ system. Only the first row of a user is ever read; the unique
/// index of tnv allows no other.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS t_groups_info (
    id integer PRIMARY KEY AUTOINCREMENT,
    group_name varchar(32) NOT NULL,
    create_time timestamp NOT NULL DEFAULT current_timestamp,
    update_time timestamp NOT NULL DEFAULT current_timestamp
);
CREATE TABLE IF NOT EXISTS t_router (
    id integer PRIMARY KEY AUTOINCREMENT,
    appid varchar(32) NOT NULL,
    userid varchar(128) NOT NULL,
    group_name varchar(32) NOT NULL,
    create_time timestamp NOT NULL DEFAULT current_timestamp,
    update_time timestamp NOT NULL DEFAULT current_timestamp
);
DELETE FROM t_router WHERE id NOT IN (SELECT min(id) FROM t_router GROUP BY appid, userid);
CREATE UNIQUE INDEX IF NOT EXISTS t_router_user ON t_router (appid, userid);
";

const ADD_GROUP: &str = "
INSERT INTO t_groups_info (group_name) SELECT ?1
WHERE NOT EXISTS (SELECT 1 FROM t_groups_info WHERE group_name = ?1)
";

const BIND: &str = "
INSERT INTO t_router (appid, userid, group_name) VALUES (?1, ?2, ?3)
ON CONFLICT (appid, userid) DO NOTHING
";

const REBIND: &str = "
UPDATE t_router SET group_name = ?4, update_time = current_timestamp
WHERE appid = ?1 AND userid = ?2 AND group_name = ?3
";

const FIND: &str = "
SELECT group_name FROM t_router WHERE appid = ?1 AND userid = ?2 ORDER BY id LIMIT 1
";

/// Groups that an administrator closed: otherwise a tracker would add them again at its next start.
const CLOSED: &str = "
CREATE TABLE IF NOT EXISTS tnv_closed_groups (group_name varchar(32) PRIMARY KEY)
";

/// One row with the cluster id.
const CLUSTER: &str = "
CREATE TABLE IF NOT EXISTS tnv_cluster (one integer PRIMARY KEY, id varchar(64) NOT NULL)
";

pub(super) struct SqliteRoutes(Sqlite);

impl SqliteRoutes {
    pub(super) fn open(path: &Path) -> Result<SqliteRoutes, DbError> {
        let sqlite = Sqlite::open(path, Synchronous::Full, "tracker", &[SCHEMA])?;
        Ok(SqliteRoutes(sqlite))
    }
}

/// Makes the file and its tables, or updates them. Returns a line for each thing that was done.
pub(super) fn init(path: &Path) -> Result<Vec<String>, DbError> {
    Sqlite::init(path, "tracker", &[SCHEMA])
}

impl Routes for SqliteRoutes {
    fn add_groups(&self, groups: &[GroupName]) -> Result<(), DbError> {
        let groups = groups.to_vec();
        self.0.write(move |connection| {
            connection.execute(CLOSED, [])?;
            let is_closed = "SELECT 1 FROM tnv_closed_groups WHERE group_name = ?1";
            for group in &groups {
                if !connection
                    .prepare_cached(is_closed)?
                    .exists([group.as_str()])?
                {
                    connection
                        .prepare_cached(ADD_GROUP)?
                        .execute([group.as_str()])?;
                }
            }
            Ok(())
        })
    }

    fn open_group(&self, group: &GroupName) -> Result<(), DbError> {
        let group = group.clone();
        self.0.write(move |connection| {
            connection.execute(CLOSED, [])?;
            let open = "DELETE FROM tnv_closed_groups WHERE group_name = ?1";
            connection.execute(open, [group.as_str()])?;
            connection.execute(ADD_GROUP, [group.as_str()])?;
            Ok(())
        })
    }

    fn close_group(&self, group: &GroupName) -> Result<(), DbError> {
        let group = group.clone();
        self.0.write(move |connection| {
            connection.execute(CLOSED, [])?;
            let close = "INSERT OR IGNORE INTO tnv_closed_groups (group_name) VALUES (?1)";
            connection.execute(close, [group.as_str()])?;
            let remove = "DELETE FROM t_groups_info WHERE group_name = ?1";
            connection.execute(remove, [group.as_str()])?;
            Ok(())
        })
    }

    fn groups(&self) -> Result<Vec<GroupName>, DbError> {
        let sql = "SELECT DISTINCT group_name FROM t_groups_info ORDER BY group_name";
        self.0.read(|connection| names(connection, sql))
    }

    fn closed_groups(&self) -> Result<Vec<GroupName>, DbError> {
        let sql = "SELECT group_name FROM tnv_closed_groups ORDER BY group_name";
        self.0.read(
            |connection| match has_table(connection, "tnv_closed_groups")? {
                true => names(connection, sql),
                false => Ok(Vec::new()),
            },
        )
    }

    fn find(&self, app: &AppId, user: &UserId) -> Result<Option<Binding>, DbError> {
        let group = self.0.read(|connection| find(connection, app, user))?;
        Ok(group.map(|group| Binding {
            group,
            is_own: true,
        }))
    }

    fn bind(
        &self,
        app: &AppId,
        user: &UserId,
        candidate: &GroupName,
    ) -> Result<GroupName, DbError> {
        let (app, user, candidate) = (app.clone(), user.clone(), candidate.clone());
        self.0.write(move |connection| {
            let row = [app.as_str(), user.as_str(), candidate.as_str()];
            connection.prepare_cached(BIND)?.execute(row)?;
            Ok(find(connection, &app, &user)?.unwrap_or(candidate))
        })
    }

    fn rebind(
        &self,
        app: &AppId,
        user: &UserId,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<Option<GroupName>, DbError> {
        let (app, user, from, to) = (app.clone(), user.clone(), from.clone(), to.clone());
        self.0.write(move |connection| {
            let row = [app.as_str(), user.as_str(), from.as_str(), to.as_str()];
            connection.prepare_cached(REBIND)?.execute(row)?;
            find(connection, &app, &user)
        })
    }

    fn cluster(&self) -> Result<Option<ClusterId>, DbError> {
        let id = self
            .0
            .read(|connection| match has_table(connection, "tnv_cluster")? {
                true => cluster_id(connection),
                false => Ok(None),
            })?;
        if let Some(id) = id {
            return super::cluster_of(&id);
        }
        let id = self.0.write(|connection| {
            connection.execute(CLUSTER, [])?;
            let fresh = super::fresh_cluster();
            let enter = "INSERT OR IGNORE INTO tnv_cluster (one, id) VALUES (1, ?1)";
            connection.execute(enter, [fresh.as_str()])?;
            cluster_id(connection)
        })?;
        super::cluster_of(&id.unwrap_or_default())
    }

    fn name_cluster(&self, cluster: &ClusterId) -> Result<(), DbError> {
        let cluster = cluster.clone();
        self.0.write(move |connection| {
            let name = "UPDATE tnv_cluster SET id = ?1 WHERE id = ''";
            connection.execute(name, [cluster.as_str()])?;
            Ok(())
        })
    }

    fn unname_cluster(&self) -> Result<(), DbError> {
        self.0.write(move |connection| {
            connection.execute("UPDATE tnv_cluster SET id = ''", [])?;
            Ok(())
        })
    }

    fn availability(&self) -> Availability {
        self.0.availability()
    }

    fn close(&self) {
        self.0.close();
    }
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM sqlite_master WHERE name = ?1";
    Ok(connection.prepare_cached(sql)?.exists([name])?)
}

fn cluster_id(connection: &Connection) -> Result<Option<String>, DbError> {
    let mut statement = connection.prepare_cached("SELECT id FROM tnv_cluster WHERE one = 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

fn names(connection: &Connection, sql: &str) -> Result<Vec<GroupName>, DbError> {
    let mut statement = connection.prepare_cached(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    Ok(names.into_iter().filter_map(super::valid).collect())
}

fn find(connection: &Connection, app: &AppId, user: &UserId) -> Result<Option<GroupName>, DbError> {
    let mut statement = connection.prepare_cached(FIND)?;
    let name: Option<String> = statement
        .query_row([app.as_str(), user.as_str()], |row| row.get(0))
        .optional()?;
    let group = name.map(GroupName::new).transpose();
    group.map_err(|e| DbError::Other {
        what: "use the group a user is bound to",
        source: Arc::new(e),
    })
}
