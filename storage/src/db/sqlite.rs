//! The rows in SQLite.

use std::path::Path;

use db::{Availability, DbError, Sqlite};
use proto::file_list::FileList;
use proto::{AppId, FileId, FileKey, GroupName, UserId};
use rusqlite::{OptionalExtension, Params, Row, params};

use super::listing::{IndexRow, Selection};
use super::rows::{
    COLUMNS, Change, DELETING, Deletion, Files, INDEX_COLUMNS, NewRow, StillWanted, StoredRow,
    columns_of, file_id, table_name, table_of,
};
use crate::config::Durability;

/// The table and the columns of an index of users: those that a list selects by, then those that it shows.
macro_rules! index_of_users {
    ($number:literal) => {
        concat!(
            "t_file_",
            $number,
            " (userid, appid, id, file_size, create_time, status, group_name)"
        )
    };
}

/// One of the file tables: columns of the C++ system, further columns, an index for unfinished
/// deletions, and one for lists.
macro_rules! file_table {
    ($number:literal) => {
        concat!(
            "CREATE TABLE t_file_",
            $number,
            " (
                id varchar(256) NOT NULL PRIMARY KEY,
                appid varchar(32) NOT NULL,
                userid varchar(128) NOT NULL,
                status tinyint NOT NULL DEFAULT 0,
                file_path varchar(512) NOT NULL,
                file_size bigint NOT NULL,
                create_time timestamp NOT NULL DEFAULT current_timestamp,
                update_time timestamp NOT NULL DEFAULT current_timestamp,
                group_name varchar(32),
                checksum blob
            );
            CREATE INDEX t_file_",
            $number,
            "_deleting ON t_file_",
            $number,
            " (group_name) WHERE status = 1;
            CREATE INDEX t_file_",
            $number,
            "_users ON ",
            index_of_users!($number),
            ";"
        )
    };
}

const SCHEMA: &str = concat!(file_table!("01"), file_table!("02"), file_table!("03"));

/// Names, tables and columns of the indexes that tables of earlier versions lack.
const INDEXES: [(&str, &str); 3] = [
    ("t_file_01_users", index_of_users!("01")),
    ("t_file_02_users", index_of_users!("02")),
    ("t_file_03_users", index_of_users!("03")),
];

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
            &[SCHEMA],
            evidence,
        )?))
    }

    /// As [`Sqlite::open_for_reads`].
    pub(super) fn open_for_reads(path: &Path) -> Result<SqliteFiles, DbError> {
        Ok(SqliteFiles(Sqlite::open_for_reads(path, "storage", 1)?))
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
    Sqlite::init(path, "storage", &[SCHEMA], &INDEXES)
}

impl Files for SqliteFiles {
    fn row_of_id(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        let rows = self.rows(&table_of(&key.user), "id = ?1", [key.file.as_str()])?;
        Ok(rows.into_iter().next())
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
                 checksum) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7)",
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

    /// The unary plus keeps SQLite from walking the whole table in the order of ids: the index of
    /// marked rows has few.
    fn unfinished_deletes(
        &self,
        table: u8,
        (group, prefix): (&GroupName, &str),
        after: &str,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        let condition = format!(
            "status = {DELETING} AND group_name = ?1 \
             AND substr(file_path, 1, length(?2)) = ?2 AND +id > ?3 ORDER BY +id LIMIT ?4"
        );
        let params = params![group.as_str(), prefix, after, limit];
        self.rows(&table_name(table), &condition, params)
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

    fn rows_after(&self, table: u8, after: &str, limit: u32) -> Result<Vec<StoredRow>, DbError> {
        let condition = "id > ?1 ORDER BY id LIMIT ?2";
        self.rows(&table_name(table), condition, params![after, limit])
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
        let rows = rows.map_err(|error| match error {
            DbError::NoIndex { source, .. } => DbError::NoIndex {
                what: "list files",
                source,
            },
            error => error,
        });
        Ok(of.page(rows?, limit))
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
        (row.get(7)?, row.get(8)?),
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
        created: row.get(6)?,
    })
}
