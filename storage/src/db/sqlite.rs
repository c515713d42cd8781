//! The rows in SQLite.

use std::path::Path;

use db::{Availability, DbError, Sqlite};
use proto::file_list::FileList;
use proto::{AppId, FileId, FileKey, FileName, GroupName, UserId};
use rusqlite::{OptionalExtension, Params, Row, params};

use super::listing::{IndexRow, Selection};
use super::rows::{
    COLUMNS, Change, DELETING, Deletion, Files, INDEX_COLUMNS, NewRow, PART, Position, StillWanted,
    StoredRow, columns_of, file_id, table_name, table_of,
};
use super::sqlite_schema::MIGRATIONS;
use crate::config::Durability;
use crate::state::quotas::Sum;

pub(super) struct SqliteFiles(Sqlite);

impl SqliteFiles {
    /// `evidence` as for [`Sqlite::open_known`].
    pub(super) fn open(
        path: &Path,
        durability: Durability,
        evidence: Option<String>,
    ) -> Result<SqliteFiles, DbError> {
        Ok(SqliteFiles(Sqlite::open_known(
            path,
            durability.of_rows(),
            "storage",
            &MIGRATIONS,
            evidence,
        )?))
    }

    /// As [`Sqlite::open_for_reads`].
    pub(super) fn open_for_reads(path: &Path) -> Result<SqliteFiles, DbError> {
        Ok(SqliteFiles(Sqlite::open_for_reads(
            path,
            "storage",
            MIGRATIONS.len(),
        )?))
    }

    /// The rows of a table that a condition selects.
    fn rows(
        &self,
        table: &str,
        condition: &str,
        params: impl Params,
    ) -> Result<Vec<StoredRow>, DbError> {
        let sql =
            format!("SELECT {COLUMNS}, unixepoch(create_time) FROM {table} WHERE {condition}");
        self.0.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params, stored_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Creates the file and its tables, or migrates them. Returns one line for each change.
pub(super) fn init(path: &Path) -> Result<Vec<String>, DbError> {
    Sqlite::init(path, "storage", &MIGRATIONS)
}

impl Files for SqliteFiles {
    fn row_of(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        let condition = "id = ?1 AND appid = ?2 AND userid = ?3";
        let rows = self.rows(&table_of(&key.user), condition, columns_of(key))?;
        Ok(rows.into_iter().next())
    }

    fn conflicting_row(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        self.row_of(key)
    }

    /// The writer's lock orders the check of the client and the insertion with the writes of all
    /// other processes, so a deletion that the client sends after it has left comes later.
    fn insert(&self, row: NewRow, wanted: StillWanted) -> Result<Change, DbError> {
        self.0.write(move |connection| {
            if !wanted() {
                return Ok(Change::NotWanted);
            }
            let sql = format!(
                "INSERT INTO {} (id, appid, userid, status, file_path, file_size, group_name, \
                 checksum, expires, name) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9)",
                table_of(&row.key.user)
            );
            connection.prepare_cached(&sql)?.execute(params![
                row.key.file.as_str(),
                row.key.app.as_str(),
                row.key.user.as_str(),
                row.path,
                i64::try_from(row.size).unwrap_or(i64::MAX),
                row.group.as_str(),
                row.checksum.to_be_bytes().as_slice(),
                row.attributes.expires,
                row.attributes.name.as_ref().map(FileName::as_str),
            ])?;
            Ok(Change::Done)
        })
    }

    fn begin_delete(&self, deletion: Deletion, wanted: StillWanted) -> Result<Change, DbError> {
        self.0.write(move |connection| {
            if !wanted() {
                return Ok(Change::NotWanted);
            }
            let Deletion { key, path, group } = &deletion;
            let sql = format!(
                "UPDATE {} SET status = {DELETING}, group_name = ?5, \
                 update_time = current_timestamp \
                 WHERE id = ?1 AND appid = ?2 AND userid = ?3 AND file_path = ?4",
                table_of(&key.user)
            );
            let [id, app, user] = columns_of(key);
            let params = params![id, app, user, path, group.as_str()];
            let n_marked = connection.prepare_cached(&sql)?.execute(params)?;
            Ok(if n_marked > 0 {
                Change::Done
            } else {
                Change::NoRow
            })
        })
    }

    fn end_delete(&self, key: &FileKey, path: &str) -> Result<(), DbError> {
        let (key, path) = (key.clone(), path.to_owned());
        self.0.write(move |connection| {
            let sql = format!(
                "DELETE FROM {} WHERE id = ?1 AND appid = ?2 AND userid = ?3 \
                 AND file_path = ?4 AND status = {DELETING}",
                table_of(&key.user)
            );
            let [id, app, user] = columns_of(&key);
            let mut statement = connection.prepare_cached(&sql)?;
            statement.execute([id, app, user, &path])?;
            Ok(())
        })
    }

    /// The unary plus keeps SQLite from walking the whole table in the order of its key: the index of
    /// marked rows has few.
    fn unfinished_deletes(
        &self,
        table: u8,
        (group, prefix): (&GroupName, &str),
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let condition = format!(
            "status = {DELETING} AND group_name = ?1 \
             AND substr(file_path, 1, length(?2)) = ?2 AND (+id, appid, userid) > (?3, ?4, ?5) \
             ORDER BY +id, appid, userid LIMIT ?6"
        );
        let Position { id, app, user } = after;
        let params = params![group.as_str(), prefix, id, app, user, limit];
        self.rows(&table_name(table), &condition, params)
    }

    /// The index of expiring files has few.
    fn expired(
        &self,
        table: u8,
        (group, prefix): (&GroupName, &str),
        now: i64,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let table = table_name(table);
        let condition = format!(
            "group_name = ?1 AND expires <= ?2 AND status <> {DELETING} \
             AND substr(file_path, 1, length(?3)) = ?3 ORDER BY expires LIMIT ?4"
        );
        let from = format!("{table} INDEXED BY {table}_expiring");
        self.rows(
            &from,
            &condition,
            params![group.as_str(), now, prefix, limit],
        )
    }

    fn any_file_of(
        &self,
        app: &AppId,
        user: &UserId,
        group: &GroupName,
    ) -> Result<Option<FileId>, DbError> {
        let sql = format!(
            "SELECT id FROM {} WHERE userid = ?1 AND appid = ?2 AND status <> {DELETING} \
             AND (group_name IS NULL OR group_name = ?3) LIMIT 1",
            table_of(user)
        );
        let of_user = [user.as_str(), app.as_str(), group.as_str()];
        let id = self.0.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let id: Option<String> = statement.query_row(of_user, |row| row.get(0)).optional()?;
            Ok(id)
        })?;
        id.map(file_id).transpose()
    }

    fn rows_after(
        &self,
        table: u8,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let condition = "(id, appid, userid) > (?1, ?2, ?3) ORDER BY id, appid, userid LIMIT ?4";
        let Position { id, app, user } = after;
        self.rows(&table_name(table), condition, params![id, app, user, limit])
    }

    /// The order of ids is that of their bytes, so the ids with the prefix are next to each other.
    fn list(&self, of: Selection<'_>, after: &str, limit: u32) -> Result<FileList, DbError> {
        let table = table_of(&of.wanted.user);
        let sql = format!(
            "SELECT {INDEX_COLUMNS}, unixepoch(create_time) \
             FROM {table} INDEXED BY {table}_users \
             WHERE userid = ?1 AND appid = ?2 AND id > ?3 AND id >= ?4 ORDER BY id LIMIT ?5"
        );
        let (app, user) = (of.wanted.app.as_str(), of.wanted.user.as_str());
        let rows = self.0.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let params = params![user, app, after, of.prefix(), limit];
            let rows = statement.query_map(params, index_row)?;
            let has_prefix = |row: &rusqlite::Result<IndexRow>| {
                let row = row.as_ref().ok();
                row.is_none_or(|row| row.id.starts_with(of.prefix()))
            };
            Ok(rows.take_while(has_prefix).collect::<Result<_, _>>()?)
        });
        Ok(of.page(rows?, limit))
    }

    fn sum_of_app(
        &self,
        table: u8,
        (app, group): (&AppId, &GroupName),
        after: &str,
    ) -> Result<(Sum, Option<String>), DbError> {
        let table = table_name(table);
        let end = format!("SELECT id FROM {table} WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET {PART}");
        let sum = format!(
            "SELECT count(*), coalesce(sum(file_size), 0) FROM {table} \
             WHERE id > ?1 AND (?2 IS NULL OR id <= ?2) AND appid = ?3 AND status <> {DELETING} \
             AND (group_name IS NULL OR group_name = ?4)"
        );
        self.0.read(|connection| {
            let mut end = connection.prepare_cached(&end)?;
            let end: Option<String> = end.query_row([after], |row| row.get(0)).optional()?;
            let mut sum = connection.prepare_cached(&sum)?;
            let params = params![after, end, app.as_str(), group.as_str()];
            let sum = sum.query_row(params, |row| {
                Ok(Sum {
                    files: row.get(0)?,
                    bytes: row.get(1)?,
                })
            })?;
            Ok((sum, end))
        })
    }

    fn availability(&self) -> Availability {
        self.0.availability()
    }

    fn close(&self) {
        self.0.close();
    }
}

fn stored_row(row: &Row<'_>) -> rusqlite::Result<StoredRow> {
    Ok(StoredRow::of_columns(
        [row.get(0)?, row.get(1)?, row.get(2)?],
        row.get(3)?,
        (row.get(4)?, row.get(5)?, row.get(6)?),
        (row.get(7)?, row.get(10)?),
        (row.get(8)?, row.get(9)?),
    ))
}

fn index_row(row: &Row<'_>) -> rusqlite::Result<IndexRow> {
    Ok(IndexRow {
        id: row.get(0)?,
        app: row.get(1)?,
        user: row.get(2)?,
        status: row.get(3)?,
        group: row.get(4)?,
        size: row.get(5)?,
        expires: row.get(6)?,
        created: row.get(7)?,
    })
}
