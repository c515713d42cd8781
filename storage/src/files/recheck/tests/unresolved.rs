//! Commits whose outcome is not known, after an upload over a database that says so.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use base::Stop;
use db::{Availability, DbError};
use net::wire::Content;
use proto::file_list::FileList;
use proto::{AppId, ErrorCode, Fault, FileId, GroupName, UserId};

use super::super::*;
use crate::clock::boot_time;
use crate::db::{Change, Deletion, Files, NewRow, Position, Selection, StillWanted, StoredRow};
use crate::files::delete;
use crate::files::deletion_job::DeletionJob;
use crate::state::quotas::Sum;
use crate::test_storage::{self, TestStorage, requester};

/// A database that never tells what becomes of an insert or of a deletion that begins.
struct Silent {
    files: Box<dyn Files>,
    inserts: bool,
}

impl Files for Silent {
    fn insert(&self, row: NewRow, _: StillWanted) -> Result<Change, DbError> {
        if self.inserts {
            self.files.insert(row, Arc::new(|| true))?;
        }
        Err(DbError::UnknownOutcome { source: None })
    }

    fn row_of(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        self.files.row_of(key)
    }

    fn conflicting_row(&self, key: &FileKey) -> Result<Option<StoredRow>, DbError> {
        self.files.conflicting_row(key)
    }

    fn begin_delete(&self, deletion: Deletion, _: StillWanted) -> Result<Change, DbError> {
        self.files.begin_delete(deletion, Arc::new(|| true))?;
        Err(DbError::UnknownOutcome { source: None })
    }

    fn end_delete(&self, key: &FileKey, path: &str) -> Result<(), DbError> {
        self.files.end_delete(key, path)
    }

    fn unfinished_deletes(
        &self,
        table: u8,
        of: (&GroupName, &str),
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        self.files.unfinished_deletes(table, of, after, limit)
    }

    fn expired(
        &self,
        table: u8,
        of: (&GroupName, &str),
        now: i64,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        self.files.expired(table, of, now, limit)
    }

    fn any_file_of(
        &self,
        app: &AppId,
        user: &UserId,
        group: &GroupName,
    ) -> Result<Option<FileId>, DbError> {
        self.files.any_file_of(app, user, group)
    }

    fn rows_after(
        &self,
        table: u8,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<StoredRow>, DbError> {
        self.files.rows_after(table, after, limit)
    }

    fn list(&self, of: Selection<'_>, after: &str, limit: u32) -> Result<FileList, DbError> {
        self.files.list(of, after, limit)
    }

    fn sum_of_app(
        &self,
        table: u8,
        of: (&AppId, &GroupName),
        after: &str,
    ) -> Result<(Sum, Option<String>), DbError> {
        self.files.sum_of_app(table, of, after)
    }

    fn availability(&self) -> Availability {
        self.files.availability()
    }

    fn close(&self) {
        self.files.close();
    }
}

/// A storage over such a database.
fn silent(inserts: bool) -> TestStorage {
    let mut storage = TestStorage::new();
    let own = Arc::get_mut(&mut storage.globals).unwrap();
    let files = crate::db::open(&own.config).unwrap();
    own.files = Box::new(Silent { files, inserts });
    storage
}

impl TestStorage {
    fn upload(&self) -> Result<Vec<u8>, Fault> {
        Box::new(self.begin("x")).finish()
    }

    /// The only file.
    fn path(&self) -> PathBuf {
        let folder = self.folder.path().join("data/000/000/000");
        let mut files = fs::read_dir(folder).unwrap();
        let path = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        path
    }

    /// Looks some time after what was noted.
    fn look(&self, later: Duration) {
        let now = boot_time() + later;
        look(&self.globals.unresolved, &self.globals, now);
    }
}

/// Looks at all files.
fn look(unresolved: &UnresolvedUploads, globals: &Globals, now: Duration) {
    recheck_unresolved(unresolved, globals, now, &|_| true, &|| true);
}

fn key() -> FileKey {
    test_storage::key("x")
}

#[test]
fn a_file_whose_row_was_never_made_is_removed_after_a_while() {
    let storage = silent(false);
    assert_eq!(storage.upload().unwrap_err().code, ErrorCode::Unknown);
    let path = storage.path();
    storage.look(Duration::ZERO);
    assert!(path.exists());
    assert_eq!(storage.globals.unresolved.len(), 1);
    // Another process knows of it, too.
    let record = &storage.globals.config.state_file;
    let again = UnresolvedUploads::open(record);
    assert_eq!(again.len(), 1);
    look(&again, &storage.globals, boot_time());
    assert!(path.exists());
    look(&again, &storage.globals, boot_time() + MISSING_FOR);
    assert!(!path.exists());
    assert_eq!(UnresolvedUploads::open(record).len(), 0);
    storage.look(MISSING_FOR);
    assert_eq!(storage.globals.unresolved.len(), 0);
}

#[test]
fn a_file_whose_row_was_made_stays() {
    let storage = silent(true);
    assert_eq!(storage.upload().unwrap_err().code, ErrorCode::Unknown);
    let path = storage.path();
    storage.look(Duration::ZERO);
    assert_eq!(storage.globals.unresolved.len(), 0);
    storage.look(MISSING_FOR);
    assert!(path.exists());
    assert!(storage.globals.files.find(&key()).unwrap().is_some());
}

#[test]
fn a_deletion_of_unknown_outcome_is_finished_soon_and_the_row_is_not_remembered() {
    let storage = silent(true);
    storage.upload().unwrap_err();
    let (globals, path) = (&storage.globals, storage.path());
    let row = globals.files.find(&key()).unwrap().unwrap();
    globals.rows.put(key(), row);
    let told = delete::delete(globals, &key(), requester()).unwrap_err();
    assert_eq!(told.code, ErrorCode::Unknown);
    assert!(globals.rows.get(&key()).is_none());
    assert!(path.exists());
    let hour = Duration::from_secs(3600);
    let store_path = globals.paths.iter().next().unwrap();
    let mut deletions = DeletionJob::new(store_path, true, hour, hour);
    // The first look is due in any case, and the deletion was begun before it.
    deletions.run(globals, &Stop::new());
    assert!(!path.exists());
    assert!(globals.pending_deletes.is_new(&mut 0));
}

#[test]
fn a_record_that_cannot_be_read_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let state_file = folder.path().join("storage.state");
    fs::write(folder.path().join("storage.state.unresolved"), "no record").unwrap();
    assert_eq!(UnresolvedUploads::open(&state_file).len(), 0);
}
