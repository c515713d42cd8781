//! The rows in MySQL, MariaDB or Galera. Ids are compared byte by byte, whatever the collation of
//! a table: a row with another spelling is another file.

use db::{
    Availability, DbError, Effect, Mysql, MysqlConfig, MysqlSchema, MysqlTable, MysqlUrl, Session,
};
use proto::file_list::FileList;
use proto::{AppId, FileId, FileKey, GroupName, UserId};

use super::listing::Selection;
use super::rows::{
    Change, DELETING, Deletion, Files, NewRow, PART, Position, StillWanted, StoredRow, columns_of,
    file_id, table_name, table_of,
};
use crate::state::quotas::Sum;
use select::{page, row_of, rows};

mod expiry;
mod inserts;
mod select;

const fn file_table_of(name: &'static str) -> MysqlTable {
    MysqlTable {
        name,
        // In tables of the C++ system the id alone is the key.
        columns: "id varchar(256), appid varchar(32), userid varchar(128), \
            status tinyint DEFAULT 0, file_path varchar(512), file_size bigint, \
            create_time timestamp NULL DEFAULT CURRENT_TIMESTAMP, \
            update_time timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
            PRIMARY KEY (id, appid, userid)",
        our_columns: &[
            ("group_name", "varchar(32)"),
            ("checksum", "binary(16)"),
            ("expires", "bigint"),
            ("name", "varchar(255)"),
        ],
        our_indexes: &[
            ("tnv_deleting", "INDEX", "(status, group_name)"),
            ("tnv_expiring", "INDEX", "(group_name, expires)"),
            // The columns that a list selects by, then those that it shows.
            (
                "tnv_users",
                "INDEX",
                "(userid, appid, id, file_size, create_time, status, group_name, expires)",
            ),
        ],
    }
}

pub(super) static SCHEMA: MysqlSchema = MysqlSchema {
    component: "storage",
    version: 1,
    tables: &[
        file_table_of("t_file_01"),
        file_table_of("t_file_02"),
        file_table_of("t_file_03"),
    ],
};

pub(super) struct MysqlFiles {
    database: Mysql,
}

impl MysqlFiles {
    pub(super) fn open(url: &MysqlUrl, config: &MysqlConfig) -> Result<MysqlFiles, DbError> {
        Ok(MysqlFiles {
            database: Mysql::open(url, config, &SCHEMA)?,
        })
    }
}

impl Files for MysqlFiles {
    fn row_of(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        let run = |session: &mut Session| select::row_of(session, key);
        let found = self.database.run("find a row", Effect::Read, run);
        DbError::found(found)
    }

    fn conflicting_row(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        let run = |session: &mut Session| select::conflicting_row(session, key);
        let found = self.database.run("find a row", Effect::Read, run);
        DbError::found(found)
    }

    fn insert(&self, row: NewRow, wanted: StillWanted) -> Result<Change, DbError> {
        inserts::insert(&self.database, &row, &wanted)
    }

    /// A statement that reaches the server late finds the row at this path or none: a file that was
    /// stored since then under the same id has another path.
    fn begin_delete(&self, deletion: Deletion, wanted: StillWanted) -> Result<Change, DbError> {
        let Deletion { key, path, group } = &deletion;
        let sql = format!(
            "UPDATE {} SET status = {DELETING}, group_name = ? \
             WHERE id = ? AND appid = ? AND userid = ? AND file_path = ?",
            table_of(&key.user)
        );
        let [id, app, user] = columns_of(key);
        let mut was_sent = false;
        let mark = |session: &mut Session| {
            let row = row_of(session, key)?.filter(|row| row.file.path == *path);
            let Some(row) = row else {
                return Ok(None);
            };
            if row.is_deleting {
                return Ok(Some(Change::Done));
            }
            if !wanted() && !was_sent {
                return Ok(Some(Change::NotWanted));
            }
            was_sent = true;
            let done = session.execute(&sql, (group.as_str(), id, app, user, path))?;
            // Nothing changed: another storage has deleted it meanwhile.
            Ok((done.affected > 0).then_some(Change::Done))
        };
        let marked = self.database.run("mark a row", Effect::Idempotent, mark);
        Ok(DbError::found(marked)?.unwrap_or(Change::NoRow))
    }

    fn end_delete(&self, key: &FileKey, path: &str) -> Result<(), DbError> {
        let sql = format!(
            "DELETE FROM {} WHERE id = ? AND appid = ? AND userid = ? AND file_path = ? \
             AND status = {DELETING}",
            table_of(&key.user)
        );
        let [id, app, user] = columns_of(key);
        let run = |session: &mut Session| match row_of(session, key)? {
            Some(row) if row.is_deleting && row.file.path == path => {
                session.execute(&sql, (id, app, user, path)).map(Some)
            }
            _ => Ok(None),
        };
        let removed = self.database.run("remove a row", Effect::Idempotent, run);
        DbError::found(removed).map(drop)
    }

    fn unfinished_deletes(
        &self,
        table: u8,
        (group, prefix): (&GroupName, &str),
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let condition = format!(
            "status = {DELETING} AND group_name = ? \
             AND CAST(group_name AS BINARY) = CAST(? AS BINARY) \
             AND LEFT(file_path, CHAR_LENGTH(?)) = ?"
        );
        let (group, table) = (group.as_str(), table_name(table));
        let params = [group, group, prefix, prefix];
        let what = "find unfinished deletions";
        self.database.run(what, Effect::Read, |session| {
            page(session, &table, (&condition, &params), after, limit)
        })
    }

    fn expired(
        &self,
        table: u8,
        (group, prefix): (&GroupName, &str),
        now: i64,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let condition = format!(
            "group_name = ? AND expires <= ? AND NOT status <=> {DELETING} \
             AND CAST(group_name AS BINARY) = CAST(? AS BINARY) \
             AND LEFT(file_path, CHAR_LENGTH(?)) = ? ORDER BY expires LIMIT ?"
        );
        let (group, table) = (group.as_str(), table_name(table));
        let what = "find expired files";
        self.database.run(what, Effect::Read, |session| {
            let params = (group, now, group, prefix, prefix, limit);
            rows(session, &table, &condition, params)
        })
    }

    /// A part of the table at a time: the server must answer within the read time-out.
    fn any_file_of(
        &self,
        app: &AppId,
        user: &UserId,
        group: &GroupName,
    ) -> Result<Option<FileId>, DbError> {
        let table = table_of(user);
        let to = format!("SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT 1 OFFSET {PART}");
        let found = format!(
            "SELECT id FROM {table} WHERE id > ? AND (? IS NULL OR id <= ?) AND \
             NOT status <=> {DELETING} AND CAST(userid AS BINARY) = CAST(? AS BINARY) AND \
             CAST(appid AS BINARY) = CAST(? AS BINARY) AND \
             (group_name IS NULL OR group_name = ?) LIMIT 1"
        );
        let mut from = String::new();
        loop {
            let part = |session: &mut Session| {
                let to: Option<String> = session.first(&to, (&from,))?;
                let params = (&from, &to, &to, user.as_str(), app.as_str(), group.as_str());
                let id: Option<String> = session.first(&found, params)?;
                Ok((to, id))
            };
            let looked = self.database.run("look for files", Effect::Read, part);
            match DbError::found(looked.map(Some))? {
                Some((_, Some(id))) => return file_id(id).map(Some),
                Some((Some(to), None)) => from = to,
                Some((None, None)) | None => return Ok(None),
            }
        }
    }

    fn rows_after(
        &self,
        table: u8,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let table = table_name(table);
        self.database.run("list rows", Effect::Read, |session| {
            page(session, &table, ("TRUE", &[]), after, limit)
        })
    }

    fn list(&self, of: Selection<'_>, after: &str, limit: u32) -> Result<FileList, DbError> {
        let run = |session: &mut Session| select::index_rows(session, of, after, limit);
        let rows = self.database.run("list files", Effect::Read, run);
        // A name that the table cannot hold is in no row.
        let rows = DbError::found(rows.map(Some))?.unwrap_or_default();
        Ok(of.page(rows, limit))
    }

    fn sum_of_app(
        &self,
        table: u8,
        (app, group): (&AppId, &GroupName),
        after: &str,
    ) -> Result<(Sum, Option<String>), DbError> {
        let table = table_name(table);
        let end = format!("SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT 1 OFFSET {PART}");
        let sum = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(file_size), 0) AS SIGNED) FROM {table} \
             WHERE id > ? AND (? IS NULL OR id <= ?) AND NOT status <=> {DELETING} AND \
             CAST(appid AS BINARY) = CAST(? AS BINARY) AND (group_name IS NULL OR group_name = ?)"
        );
        self.database.run("count files", Effect::Read, |session| {
            let end: Option<String> = session.first(&end, (after,))?;
            let params = (after, &end, &end, app.as_str(), group.as_str());
            let found: Option<(i64, i64)> = session.first(&sum, params)?;
            let (files, bytes) = found.unwrap_or_default();
            Ok((Sum { files, bytes }, end))
        })
    }

    fn availability(&self) -> Availability {
        self.database.availability()
    }

    fn close(&self) {
        self.database.close();
    }
}

#[cfg(test)]
mod tests;
