//! The rows of the files, and the operations of every database engine.

use std::sync::Arc;

use db::{Availability, DbError};
use proto::file_list::FileList;
use proto::storage::Attributes;
use proto::{AppId, FileId, FileKey, GroupName, UserId, file_table};

use super::listing::Selection;
use crate::state::quotas::Sum;

/// The row of a file. A file exists when its row does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// The file's path, spelled as its store path was configured.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
    /// XXH3-128 of the content; absent in rows of the C++ system.
    pub(crate) checksum: Option<u128>,
    /// Time of the insertion, seconds since the epoch.
    pub(crate) created: i64,
    /// Absent in rows of the C++ system.
    pub(crate) group: Option<String>,
    /// Second since the epoch from which on the file does not exist.
    pub(crate) expires: Option<i64>,
    /// The name under which the client had the file.
    pub(crate) name: Option<String>,
}

impl FileRow {
    /// True if the file does not exist any more at this second since the epoch.
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A row of any program, unchecked. A name that another program left out is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRow {
    /// The file id.
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) user: String,
    /// True if its deletion has begun.
    pub(crate) is_deleting: bool,
    pub(crate) file: FileRow,
}

impl StoredRow {
    /// The row of these values of the columns [`COLUMNS`].
    pub(super) fn of_columns(
        [id, app, user]: [String; 3],
        status: i64,
        (path, size, group): (String, i64, Option<String>),
        (checksum, created): (Option<Vec<u8>>, Option<i64>),
        (expires, name): (Option<i64>, Option<String>),
    ) -> StoredRow {
        StoredRow {
            id,
            app,
            user,
            is_deleting: status == DELETING,
            file: FileRow {
                path,
                size: size.try_into().unwrap_or(0),
                checksum: checksum
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(u128::from_be_bytes),
                created: created.unwrap_or(0),
                group,
                expires,
                name,
            },
        }
    }

    /// True if it is the row of exactly this file. A table of the C++ system has one row for each file id,
    /// whoever the owner is, and may compare different spellings of an id as equal.
    pub(crate) fn is_of(&self, key: &FileKey) -> bool {
        self.id == key.file.as_str() && self.is_of_user(key)
    }

    /// True if the row belongs to this user.
    pub(crate) fn is_of_user(&self, key: &FileKey) -> bool {
        self.app == key.app.as_str() && self.user == key.user.as_str()
    }

    /// The place of the row in its table.
    pub(crate) fn position(&self) -> Position {
        Position {
            id: self.id.clone(),
            app: self.app.clone(),
            user: self.user.clone(),
        }
    }

    /// The file's key; none in the row of another program with names that tnv does not allow.
    pub(crate) fn key(&self) -> Option<FileKey> {
        Some(FileKey {
            app: self.app.parse().ok()?,
            user: self.user.parse().ok()?,
            file: self.id.parse().ok()?,
        })
    }
}

/// A place in a table: that of the row with these names. The default is in front of the first row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) id: String,
    pub(super) app: String,
    pub(super) user: String,
}

/// Tells whether the client of a request still waits. It is called immediately before a change is
/// sent to the database.
pub(crate) type StillWanted = Arc<dyn Fn() -> bool + Send + Sync>;

/// The result of a client's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The change is committed.
    Done,
    /// The client had left; nothing was changed.
    NotWanted,
    /// There is no such row; nothing was changed.
    NoRow,
}

/// Rows per statement where no index helps.
pub(super) const PART: u32 = if cfg!(test) { 2 } else { 50_000 };
/// The numbers of the tables.
pub(crate) const TABLES: [u8; 3] = [1, 2, 3];
/// Value of `status` in the row of a file that is being deleted. The C++ system writes 0 always.
pub(super) const DELETING: i64 = 1;
/// The columns that [`StoredRow::of_columns`] takes, but for the time of creation, which each engine
/// converts in its own way.
pub(super) const COLUMNS: &str =
    "id, appid, userid, status, file_path, file_size, group_name, checksum, expires, name";

/// The columns of [`IndexRow`](super::listing::IndexRow), but for the time of creation. All are in the index
/// of users.
pub(super) const INDEX_COLUMNS: &str = "id, appid, userid, status, group_name, file_size, expires";

/// The name of a table.
pub(super) fn table_name(number: u8) -> String {
    format!("t_file_{number:02}")
}

/// The name of the table with the rows of a user.
pub(crate) fn table_of(user: &UserId) -> String {
    table_name(file_table(user))
}

/// The columns that identify a row: id, application and user.
pub(super) fn columns_of(key: &FileKey) -> [&str; 3] {
    [key.file.as_str(), key.app.as_str(), key.user.as_str()]
}

/// A row to insert.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) key: FileKey,
    pub(crate) group: GroupName,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) checksum: u128,
    pub(crate) attributes: Attributes,
}

/// A row to mark as being deleted.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    pub(crate) key: FileKey,
    /// Only a row with this path is marked.
    pub(crate) path: String,
    /// The group that deletes the file.
    pub(crate) group: GroupName,
}

/// The tables `t_file_01` to `t_file_03` (docs/protocol.md, Tables). All engines pass the same
/// tests.
pub(crate) trait Files: Send + Sync {
    /// The row of a file, unless it is being deleted.
    fn find(&self, key: &FileKey) -> Result<Option<FileRow>, DbError> {
        let row = self.row_of(key)?.filter(|row| !row.is_deleting);
        Ok(row.map(|row| row.file))
    }

    /// The row of exactly this file, also while it is being deleted.
    fn row_of(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError>;

    /// The row that leaves no room for one of this file: its own, or, where the file id alone is the key of
    /// the table, one of another owner or of another spelling of the id.
    fn conflicting_row(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError>;

    /// Inserts and commits a row, if the client waits when it is sent.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when there is a [`Files::conflicting_row`].
    fn insert(&self, row: NewRow, wanted: StillWanted) -> Result<Change, DbError>;

    /// Marks and commits a row as being deleted, if the client waits; from then on it is not
    /// found. [`Change::Done`] also for a row that is marked already.
    fn begin_delete(&self, deletion: Deletion, wanted: StillWanted) -> Result<Change, DbError>;

    /// Removes a marked row of a file at this path.
    fn end_delete(&self, key: &FileKey, path: &str) -> Result<(), DbError>;

    /// Rows of the group with unfinished deletions in a table, as far as their paths begin with
    /// `prefix`: those behind `after`, in the order of the table's key, at most `limit`.
    /// The comparison of paths may ignore case.
    fn unfinished_deletes(
        &self,
        table: u8,
        of: (&GroupName, &str),
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError>;

    /// Rows of the group whose files have expired at `now`, seconds since the epoch, as far as their deletion has not
    /// begun and their paths begin with `prefix`: those that expired first, at most `limit`. The comparison of paths
    /// may ignore case.
    fn expired(
        &self,
        table: u8,
        of: (&GroupName, &str),
        now: i64,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError>;

    /// Any file of a user whose row names the group or none. Without a match it reads the user's
    /// table whole.
    fn any_file_of(
        &self,
        app: &AppId,
        user: &UserId,
        group: &GroupName,
    ) -> Result<Option<FileId>, DbError>;

    /// The rows of a table behind `after`, in the order of its key; at most `limit`.
    fn rows_after(
        &self,
        table: u8,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError>;

    /// The next files of a list behind the file id `after`, of at most `limit` rows, in the database's
    /// order of ids. Reads the index of users only. The prefix has an end, so a list of few files reads
    /// few rows.
    ///
    /// # Errors
    /// [`DbError::NoIndex`] where the table of the user lacks the index.
    fn list(&self, of: Selection<'_>, after: &str, limit: u32) -> Result<FileList, DbError>;

    /// The sum of a part of an application's files in a table: those behind the file id `after` that name the group or
    /// none. Returns also the file id behind which the next part begins; none after the last part.
    fn sum_of_app(
        &self,
        table: u8,
        of: (&AppId, &GroupName),
        after: &str,
    ) -> Result<(Sum, Option<String>), DbError>;

    /// The latest known state of the database. Never blocks.
    fn availability(&self) -> Availability;

    /// Finishes waiting writes.
    fn close(&self);
}

/// The rows of all tables. `page` reads those of a table behind a position, in the order of its key; an
/// empty page is the last one. The rows end after an error.
pub(crate) fn rows_in_pages(
    page: impl Fn(u8, &Position) -> Result<Vec<StoredRow>, DbError>,
) -> impl Iterator<Item = Result<StoredRow, DbError>> {
    let mut position = Some((0, Position::default()));
    let pages = std::iter::from_fn(move || {
        let (idx, after) = position.take()?;
        let rows = page(*TABLES.get(idx)?, &after);
        position = rows.as_ref().ok().map(|rows| match rows.last() {
            Some(last) => (idx, last.position()),
            None => (idx + 1, Position::default()),
        });
        Some(rows)
    });
    pages.flat_map(|page| match page {
        Ok(rows) => rows.into_iter().map(Ok).collect(),
        Err(e) => vec![Err(e)],
    })
}

/// Checks the id of a row, which other programs may have written.
pub(super) fn file_id(text: String) -> Result<FileId, DbError> {
    FileId::new(text).map_err(|e| DbError::Other {
        what: "use the id of a file",
        source: Arc::new(e),
    })
}
