//! Groups and users in MySQL, MariaDB or Galera.

use std::sync::Arc;

use db::{
    Availability, DbError, Effect, Failure, Mysql, MysqlConfig, MysqlSchema, MysqlTable, MysqlUrl,
    Session,
};
use parking_lot::Mutex;
use proto::{AppId, ClusterId, GroupName, UserId};

use super::{Binding, Routes};

/// tnv adds the column `tnv_user`: app id, slash and user id as bytes, unique. It decides between trackers
/// that bind a user at the same moment, on one Galera node or on two: the second row fails, at the insert or
/// at the certification. A locking read would not do, because Galera nodes do not share locks. Bytes tell
/// users apart that the table's collation takes for the same. Rows of the C++ system have NULL, which may
/// repeat. A C++ tracker may still insert rows: then the lowest id counts.
pub(super) static SCHEMA: MysqlSchema = MysqlSchema {
    component: "tracker",
    version: 1,
    tables: &[
        MysqlTable {
            name: "t_groups_info",
            columns: "id int unsigned AUTO_INCREMENT PRIMARY KEY, group_name varchar(32), \
                create_time timestamp NULL DEFAULT CURRENT_TIMESTAMP, \
                update_time timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
            our_columns: &[],
            our_indexes: &[],
        },
        MysqlTable {
            name: "t_router",
            columns: "id int unsigned AUTO_INCREMENT PRIMARY KEY, appid varchar(32), \
                userid varchar(128), group_name varchar(32), \
                create_time timestamp NULL DEFAULT CURRENT_TIMESTAMP, \
                update_time timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
            our_columns: &[("tnv_user", "varbinary(288)")],
            our_indexes: &[
                ("tnv_user", "UNIQUE INDEX", "(tnv_user)"),
                ("tnv_userid", "INDEX", "(userid, appid)"),
            ],
        },
    ],
};

/// Two Galera nodes may both add a new group; reads return each group once.
const ADD_GROUP: &str = "INSERT INTO t_groups_info (group_name) SELECT ? FROM (SELECT 1) one \
    WHERE NOT EXISTS (SELECT 1 FROM t_groups_info WHERE group_name = ?)";

/// The query of a C++ tracker: it ignores the application, and the collation of the column decides which
/// users are the same.
const FIND_AS_CXX: &str = "SELECT group_name FROM t_router WHERE userid = ? ORDER BY id LIMIT 1";

/// The rows include those of users that the collation takes for the same.
const FIND: &str = "SELECT id, appid, userid, group_name FROM t_router \
    WHERE userid = ? AND appid = ? ORDER BY id LIMIT 1000";

const BIND: &str = "INSERT INTO t_router (appid, userid, group_name, tnv_user) \
    VALUES (?, ?, ?, ?)";

const REBIND: &str = "UPDATE t_router SET group_name = ? WHERE id = ? AND group_name = ?";

/// Groups that an administrator closed. Without this table a tracker would add them again at its next start.
/// The first closing makes it.
const CLOSED: &str = "CREATE TABLE IF NOT EXISTS tnv_closed_groups \
    (group_name varchar(32) PRIMARY KEY) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// One row with the cluster id. The first tracker that may create tables makes it; until then nothing detects
/// a wrong database.
const CLUSTER: &str = "CREATE TABLE IF NOT EXISTS tnv_cluster \
    (one tinyint PRIMARY KEY, id varchar(64) NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4 \
    COLLATE utf8mb4_bin";

const CLUSTER_ID: &str = "SELECT id FROM tnv_cluster WHERE one = 1";

const HAS_TABLE: &str = "SELECT 1 FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";

type Row = (u64, Option<String>, Option<String>, Option<String>);

pub(super) struct MysqlRoutes {
    mysql: Mysql,
    /// Groups to add when the database answers.
    unentered: Mutex<Vec<GroupName>>,
}

impl MysqlRoutes {
    pub(super) fn open(url: &MysqlUrl, config: &MysqlConfig) -> Result<MysqlRoutes, DbError> {
        Ok(MysqlRoutes {
            mysql: Mysql::open(url, config, &SCHEMA)?,
            unentered: Mutex::default(),
        })
    }

    /// Adds the groups that are missing; they stay queued if that fails.
    fn enter_groups(&self) -> Result<(), DbError> {
        let groups = self.unentered.lock().clone();
        for group in groups {
            let name = group.as_str();
            self.mysql
                .run("enter a group", Effect::Idempotent, |session| {
                    if !is_closed(session, name)? {
                        session.execute(ADD_GROUP, (name, name))?;
                    }
                    Ok(())
                })?;
            self.unentered
                .lock()
                .retain(|unentered| *unentered != group);
        }
        Ok(())
    }
}

impl Routes for MysqlRoutes {
    fn add_groups(&self, groups: &[GroupName]) -> Result<(), DbError> {
        let mut unentered = self.unentered.lock();
        let known = unentered.clone();
        unentered.extend(
            groups
                .iter()
                .filter(|group| !known.contains(group))
                .cloned(),
        );
        drop(unentered);
        self.enter_groups()
    }

    fn open_group(&self, group: &GroupName) -> Result<(), DbError> {
        let name = group.as_str();
        self.mysql
            .run("open a group", Effect::Idempotent, |session| {
                if is_closed(session, name)? {
                    let open = "DELETE FROM tnv_closed_groups WHERE group_name = ?";
                    session.execute(open, (name,))?;
                }
                session.execute(ADD_GROUP, (name, name)).map(drop)
            })
    }

    fn close_group(&self, group: &GroupName) -> Result<(), DbError> {
        let name = group.as_str();
        self.mysql
            .run("close a group", Effect::Idempotent, |session| {
                session.execute(CLOSED, ())?;
                let close = "INSERT IGNORE INTO tnv_closed_groups (group_name) VALUES (?)";
                session.execute(close, (name,))?;
                let remove = "DELETE FROM t_groups_info WHERE group_name = ?";
                session.execute(remove, (name,)).map(drop)
            })
    }

    fn groups(&self) -> Result<Vec<GroupName>, DbError> {
        self.enter_groups()?;
        let sql = "SELECT DISTINCT CAST(group_name AS BINARY) name FROM t_groups_info \
            WHERE group_name IS NOT NULL ORDER BY name";
        let run = |session: &mut Session| session.rows::<(Vec<u8>,)>(sql, ());
        let names = self.mysql.run("read the groups", Effect::Read, run)?;
        Ok(valid(names))
    }

    fn closed_groups(&self) -> Result<Vec<GroupName>, DbError> {
        let sql = "SELECT CAST(group_name AS BINARY) name FROM tnv_closed_groups ORDER BY name";
        let names =
            self.mysql.run(
                "read the closed groups",
                Effect::Read,
                |session| match has_table(session, "tnv_closed_groups")? {
                    true => session.rows::<(Vec<u8>,)>(sql, ()),
                    false => Ok(Vec::new()),
                },
            )?;
        Ok(valid(names))
    }

    fn find(&self, app: &AppId, user: &UserId) -> Result<Option<Binding>, DbError> {
        let binding = |group, is_own| Binding { group, is_own };
        DbError::found(
            self.mysql
                .run("find a user's group", Effect::Read, |session| {
                    if let Some(group) = find(session, app, user)? {
                        return Ok(Some(binding(group, true)));
                    }
                    let found: Option<Option<String>> =
                        session.first(FIND_AS_CXX, (user.as_str(),))?;
                    let group = found.flatten().map(group_of).transpose()?;
                    Ok(group.map(|group| binding(group, false)))
                }),
        )
    }

    fn bind(
        &self,
        app: &AppId,
        user: &UserId,
        candidate: &GroupName,
    ) -> Result<GroupName, DbError> {
        let key = format!("{app}/{user}").into_bytes();
        let row = (app.as_str(), user.as_str(), candidate.as_str(), &key);
        self.mysql
            .run("bind a user", Effect::Idempotent, |session| {
                // Rows of the C++ system have no `tnv_user`.
                if let Some(group) = find(session, app, user)? {
                    return Ok(group);
                }
                match session.execute(BIND, row) {
                    Ok(_) => {}
                    Err(failure) if failure.is_conflict() => {}
                    Err(failure) => return Err(failure),
                }
                find(session, app, user)?.ok_or_else(Failure::not_yet_visible)
            })
    }

    /// C++ trackers may read any of a user's rows, so all rows with the old group change.
    fn rebind(
        &self,
        app: &AppId,
        user: &UserId,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<Option<GroupName>, DbError> {
        self.mysql
            .run("move a user", Effect::Idempotent, |session| {
                let rows = rows_of(session, app, user)?;
                let group = rows.first().map(|(_, group)| group.as_str());
                if group == Some(from.as_str()) || group == Some(to.as_str()) {
                    for (id, _) in rows.iter().filter(|(_, group)| *group == from.as_str()) {
                        session.execute(REBIND, (to.as_str(), id, from.as_str()))?;
                    }
                }
                find(session, app, user)
            })
    }

    fn cluster(&self) -> Result<Option<ClusterId>, DbError> {
        let read = |session: &mut Session| match has_table(session, "tnv_cluster")? {
            true => session.first::<String>(CLUSTER_ID, ()),
            false => Ok(None),
        };
        let what = "read the cluster's id";
        if let Some(id) = self.mysql.run(what, Effect::Read, read)? {
            return super::cluster_of(&id);
        }
        let fresh = super::fresh_cluster();
        let make = |session: &mut Session| {
            if !has_table(session, "tnv_cluster")? {
                session.execute(CLUSTER, ())?;
            }
            let enter = "INSERT IGNORE INTO tnv_cluster (one, id) VALUES (1, ?)";
            session.execute(enter, (fresh.as_str(),))?;
            let id = session.first::<String>(CLUSTER_ID, ())?;
            id.ok_or_else(Failure::not_yet_visible)
        };
        let what = "make an id for the cluster";
        let id = self.mysql.run(what, Effect::Idempotent, make)?;
        super::cluster_of(&id)
    }

    fn name_cluster(&self, cluster: &ClusterId) -> Result<(), DbError> {
        let name = "UPDATE tnv_cluster SET id = ? WHERE id = ''";
        self.mysql
            .run("name the cluster", Effect::Idempotent, |session| {
                session.execute(name, (cluster.as_str(),)).map(drop)
            })
    }

    fn unname_cluster(&self) -> Result<(), DbError> {
        let unname = "UPDATE tnv_cluster SET id = ''";
        let what = "take the cluster's id away";
        self.mysql.run(what, Effect::Idempotent, |session| {
            session.execute(unname, ()).map(drop)
        })
    }

    fn availability(&self) -> Availability {
        self.mysql.availability()
    }

    fn close(&self) {
        self.mysql.close();
    }
}

fn valid(names: Vec<(Vec<u8>,)>) -> Vec<GroupName> {
    let text = |(name,): (Vec<u8>,)| String::from_utf8_lossy(&name).into_owned();
    let names = names.into_iter().map(text);
    names.filter_map(super::valid).collect()
}

fn has_table(session: &mut Session, name: &str) -> Result<bool, Failure> {
    let found: Option<u8> = session.first(HAS_TABLE, (name,))?;
    Ok(found.is_some())
}

fn is_closed(session: &mut Session, group: &str) -> Result<bool, Failure> {
    if !has_table(session, "tnv_closed_groups")? {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM tnv_closed_groups WHERE group_name = ?";
    let found: Option<u8> = session.first(sql, (group,))?;
    Ok(found.is_some())
}

/// The group of the user's row with the lowest id.
fn find(session: &mut Session, app: &AppId, user: &UserId) -> Result<Option<GroupName>, Failure> {
    let Some((_, group)) = rows_of(session, app, user)?.into_iter().next() else {
        return Ok(None);
    };
    group_of(group).map(Some)
}

fn group_of(name: String) -> Result<GroupName, Failure> {
    let group = GroupName::new(name).map_err(|e| DbError::Other {
        what: "use the group a user is bound to",
        source: Arc::new(e),
    })?;
    Ok(group)
}

/// Id and group of the rows of exactly this user, in order. C++ trackers may have made several.
fn rows_of(
    session: &mut Session,
    app: &AppId,
    user: &UserId,
) -> Result<Vec<(u64, String)>, Failure> {
    let (app, user) = (app.as_str(), user.as_str());
    let rows: Vec<Row> = session.rows(FIND, (user, app))?;
    let of_user = rows
        .into_iter()
        .filter(|(_, found_app, found_user, _)| {
            found_app.as_deref() == Some(app) && found_user.as_deref() == Some(user)
        })
        .map(|(id, _, _, group)| (id, group.unwrap_or_default()));
    Ok(of_user.collect())
}
