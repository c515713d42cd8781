//! The rows of the files.

mod mysql;
mod sqlite;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use db::{Availability, DatabaseUrl, DbError, Mysql};
use proto::{AppId, FileId, FileKey, GroupName, UserId};

use crate::config::Config;

/// What is known of a file. It exists when its row does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// Where it lies, spelled as its store path was configured.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
    /// XXH3-128 of the content; absent in rows of the C++ system.
    pub(crate) checksum: Option<u128>,
    /// When the row was made, seconds since the epoch.
    pub(crate) created: i64,
    /// Absent in rows of the C++ system.
    pub(crate) group: Option<String>,
}

/// A row as it stands there, whoever has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRow {
    /// The file id.
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) user: String,
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
    /// Absent in rows of the C++ system.
    pub(crate) group: Option<String>,
    /// Whether its deletion was begun.
    pub(crate) is_deleting: bool,
}

impl StoredRow {
    /// Whether it is the row of this very file: a table has one row for each file id, whoever the
    /// owner is, and may take two spellings of an id for one.
    pub(crate) fn is_of(&self, key: &FileKey) -> bool {
        self.id == key.file.as_str() && self.is_of_user(key)
    }

    /// Whether it is the row of a file of this user.
    pub(crate) fn is_of_user(&self, key: &FileKey) -> bool {
        self.app == key.app.as_str() && self.user == key.user.as_str()
    }
}

/// Tells whether the client of a request still waits for the reply. Asked in the last moment before
/// a change is sent to the database.
pub(crate) type StillWanted = Arc<dyn Fn() -> bool + Send + Sync>;

/// What became of a change that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is made, durably.
    Done,
    /// The client had left before; nothing was changed.
    NotWanted,
    /// There is no such row; nothing was changed.
    NoRow,
}

/// The numbers of the tables.
pub(crate) const TABLES: [u8; 3] = [1, 2, 3];

/// A file whose row is to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) key: FileKey,
    pub(crate) group: GroupName,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) checksum: u128,
}

/// A file whose row is to be marked as being deleted.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    pub(crate) key: FileKey,
    /// A row of the same file id with another path is not marked.
    pub(crate) path: String,
    /// The group that deletes the file.
    pub(crate) group: GroupName,
}

/// The tables `t_file_01` to `t_file_03` (docs/protocol.md, Tables). One suite of tests holds for every
/// engine.
pub(crate) trait Files: Send + Sync {
    /// The row of a file, unless it is being deleted.
    fn find(&self, key: &FileKey) -> Result<Option<FileRow>, DbError>;

    /// The row that has the file id in the user's table, whoever the owner is, also while it is
    /// being deleted.
    fn holder(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError>;

    /// Makes a row, durably, if that is still wanted when it is about to be written.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when there is one with this file id.
    fn insert(&self, row: NewRow, wanted: StillWanted) -> Result<Change, DbError>;

    /// Marks the row of a file as being deleted, durably, if that is still wanted; from then on it
    /// is not found. A row that is marked already is [`Change::Done`].
    fn begin_delete(&self, deletion: Deletion, wanted: StillWanted) -> Result<Change, DbError>;

    /// Removes the row of a file at this path if it was marked.
    fn end_delete(&self, key: &FileKey, path: &str) -> Result<(), DbError>;

    /// Files of the group whose deletion was begun and not ended, with paths that begin with
    /// `prefix`; at most `limit` of them. Letters may count as equal that differ.
    fn unfinished_deletes(
        &self,
        group: &GroupName,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(FileKey, String)>, DbError>;

    /// Any file of a user whose row names the group or, as those of the C++ system, none, unless it
    /// is being deleted. Reads the user's table whole if there is none.
    fn any_of(
        &self,
        app: &AppId,
        user: &UserId,
        group: &GroupName,
    ) -> Result<Option<FileId>, DbError>;

    /// The first rows of a table behind the file id `after`, in the order that the database has of
    /// ids; at most `limit` of them.
    fn rows_behind(&self, table: u8, after: &str, limit: u32) -> Result<Vec<StoredRow>, DbError>;

    /// Whether the database can be used, from memory.
    fn availability(&self) -> Availability;

    /// Finishes what waits to be written.
    fn close(&self);
}

/// Opens the database of the configuration. A MySQL database may be away: it is waited for.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Files>, DbError> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteFiles::open(
            path,
            config.durability,
            evidence(config),
        )?)),
        DatabaseUrl::Mysql(url) => Ok(Box::new(mysql::MysqlFiles::open(url, &config.mysql)?)),
    }
}

/// What tells that this storage has taken in files before, so that their rows must be somewhere.
fn evidence(config: &Config) -> Option<String> {
    let state = &config.state_file;
    if state.exists() {
        return Some(format!("{} is there", state.display()));
    }
    let stored = config.store_paths.iter().find(|path| holds_files(path));
    stored.map(|path| format!("{path} holds files"))
}

/// Whether a store path has one of the folders that files lie in, `000` to `1FF`. A marker or
/// `lost+found` may be there before the first file.
fn holds_files(store_path: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let is_of_files =
        |name: &OsStr| name.len() == 3 && name.as_bytes().iter().all(|b| is_digit(*b));
    let entries = std::fs::read_dir(store_path).into_iter().flatten();
    entries
        .flatten()
        .any(|entry| is_of_files(&entry.file_name()))
}

/// The same, of a database that is there: for who only looks.
///
/// # Errors
/// It is missing, or cannot be opened.
pub(crate) fn open_present(config: &Config) -> anyhow::Result<Box<dyn Files>> {
    if let DatabaseUrl::Sqlite(path) = &config.database {
        anyhow::ensure!(path.exists(), "there is no {}", path.display());
    }
    Ok(open(config)?)
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

/// The id of a row, which other programs may have written.
fn file_id(text: String) -> Result<FileId, DbError> {
    FileId::new(text).map_err(|e| DbError::Other {
        what: "use the id of a file",
        source: Arc::new(e),
    })
}

#[cfg(test)]
mod tests;
