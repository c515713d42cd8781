//! The rows of the files, and the operations of every database engine.

use std::sync::Arc;

use db::{Availability, DbError};
use proto::{AppId, FileId, FileKey, GroupName, UserId};

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
}

/// A row of any program, unchecked.
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
    /// True if its deletion has begun.
    pub(crate) is_deleting: bool,
}

impl StoredRow {
    /// True if it is the row of exactly this file. A table has one row for each file id, whoever
    /// the owner is, and may compare different spellings of an id as equal.
    pub(crate) fn is_of(&self, key: &FileKey) -> bool {
        self.id == key.file.as_str() && self.is_of_user(key)
    }

    /// True if the row belongs to this user.
    pub(crate) fn is_of_user(&self, key: &FileKey) -> bool {
        self.app == key.app.as_str() && self.user == key.user.as_str()
    }
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

/// The numbers of the tables.
pub(crate) const TABLES: [u8; 3] = [1, 2, 3];

/// A row to insert.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) key: FileKey,
    pub(crate) group: GroupName,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) checksum: u128,
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

/// A page of files with unfinished deletions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnfinishedDeletes {
    /// The files, each with its path.
    pub(crate) files: Vec<(FileKey, String)>,
    /// The file id after which the next page begins; none on the last page.
    pub(crate) next: Option<String>,
}

impl UnfinishedDeletes {
    /// The page of these rows, which are owner, id and path as texts. A row with other names than tnv
    /// allows is of another program and passed over.
    pub(super) fn of_rows(rows: Vec<[String; 4]>, limit: u32) -> UnfinishedDeletes {
        let is_full = rows.len() as u64 >= u64::from(limit);
        let last = rows.last().map(|[_, _, file, _]| file.clone());
        let files = rows.into_iter().filter_map(|[app, user, file, path]| {
            let (app, user) = (app.parse().ok()?, user.parse().ok()?);
            let file = file.parse().ok()?;
            Some((FileKey { app, user, file }, path))
        });
        UnfinishedDeletes {
            files: files.collect(),
            next: last.filter(|_| is_full),
        }
    }
}

/// The tables `t_file_01` to `t_file_03` (docs/protocol.md, Tables). All engines pass the same
/// tests.
pub(crate) trait Files: Send + Sync {
    /// The row of a file, unless it is being deleted.
    fn find(&self, key: &FileKey) -> Result<Option<FileRow>, DbError>;

    /// The row with the file id in the user's table, of any owner, also while it is being deleted.
    fn holder(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError>;

    /// Inserts and commits a row, if the client waits when it is sent.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when there is a row with this file id.
    fn insert(&self, row: NewRow, wanted: StillWanted) -> Result<Change, DbError>;

    /// Marks and commits a row as being deleted, if the client waits; from then on it is not
    /// found. [`Change::Done`] also for a row that is marked already.
    fn begin_delete(&self, deletion: Deletion, wanted: StillWanted) -> Result<Change, DbError>;

    /// Removes a marked row of a file at this path.
    fn end_delete(&self, key: &FileKey, path: &str) -> Result<(), DbError>;

    /// Files of the group with unfinished deletions in a table, as far as their paths begin with
    /// `prefix`: those after the file id `after`, in the database's order of ids, from at most `limit`
    /// rows. The comparison of paths may ignore case.
    fn unfinished_deletes(
        &self,
        table: u8,
        of: (&GroupName, &str),
        after: &str,
        limit: u32,
    ) -> Result<UnfinishedDeletes, DbError>;

    /// Any file of a user whose row names the group or none. Without a match it reads the user's
    /// table whole.
    fn any_of(
        &self,
        app: &AppId,
        user: &UserId,
        group: &GroupName,
    ) -> Result<Option<FileId>, DbError>;

    /// The rows of a table after the file id `after`, in the database's order of ids; at most
    /// `limit`.
    fn rows_after(&self, table: u8, after: &str, limit: u32) -> Result<Vec<StoredRow>, DbError>;

    /// The latest known state of the database. Never blocks.
    fn availability(&self) -> Availability;

    /// Finishes waiting writes.
    fn close(&self);
}

/// Checks the id of a row, which other programs may have written.
pub(super) fn file_id(text: String) -> Result<FileId, DbError> {
    FileId::new(text).map_err(|e| DbError::Other {
        what: "use the id of a file",
        source: Arc::new(e),
    })
}
