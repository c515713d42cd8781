//! A file on its way in: checked, written aside, synced, named, and last its row.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use daemon::db::DbError;
use daemon::wire::Content;
use log::error;
use proto::storage::Upload;
use proto::{ErrorCode, Fault, FileKey};
use xxhash_rust::xxh3::Xxh3;

use crate::db::NewRow;
use crate::file::{CommitError, NewFile};
use crate::globals::Globals;
use crate::path::StorePath;

/// Content that comes in. Dropping it before the end removes what was written.
pub(crate) struct Incoming {
    globals: Arc<Globals>,
    key: FileKey,
    size: u64,
    store_path: Arc<StorePath>,
    place: String,
    file: NewFile,
    hash: Box<Xxh3>,
}

/// Checks all that can be checked before the first byte, and begins the file.
///
/// # Errors
/// The file exists, there is no room, or the database, the idservers or the disk do not answer.
pub(crate) fn begin(globals: &Arc<Globals>, upload: Upload) -> Result<Incoming, Fault> {
    let Upload { key, size } = upload;
    if globals.files.find(&key)?.is_some() {
        return Err(exists(&key));
    }
    let store_path = globals.paths.choose(size)?;
    let number = globals.numbers.next(&store_path.key)?;
    let place = store_path.place(number);
    let file = globals
        .writer
        .create(&place, size)
        .map_err(|e| disk_fault(&place, &e))?;
    let globals = Arc::clone(globals);
    Ok(Incoming {
        globals,
        key,
        size,
        store_path,
        place,
        file,
        hash: Box::default(),
    })
}

impl Content for Incoming {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.hash.update(bytes);
        self.file
            .write(bytes)
            .map_err(|e| disk_fault(&self.place, &e))
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Fault> {
        let Incoming {
            globals,
            key,
            size,
            store_path,
            place,
            file,
            hash,
        } = *self;
        globals
            .writer
            .commit(file)
            .map_err(|e| commit_fault(&store_path, &place, e))?;
        let row = NewRow {
            key: key.clone(),
            group: globals.config.group.clone(),
            path: place.clone(),
            size,
            checksum: hash.digest128(),
        };
        match globals.files.insert(row) {
            Ok(()) => Ok(Vec::new()),
            // The row may be there: then the file must be, too. The client's next try finds out.
            Err(e @ DbError::UnknownOutcome { .. }) => Err(e.into()),
            Err(e) => {
                discard(&globals, &place);
                Err(if e.is_conflict() {
                    exists(&key)
                } else {
                    e.into()
                })
            }
        }
    }
}

/// Removes a file that has no row.
fn discard(globals: &Globals, place: &str) {
    if let Err(e) = globals.writer.remove(place) {
        error!("{place} has no row and cannot be removed: {e}");
    }
}

fn exists(key: &FileKey) -> Fault {
    Fault::new(
        ErrorCode::Exists,
        format!("file exists, fileid: {}", key.file),
    )
}

fn commit_fault(store_path: &StorePath, place: &str, error: CommitError) -> Fault {
    match error {
        CommitError::Sync(e) => {
            store_path.turn_read_only(&e);
            Fault::new(ErrorCode::ReadOnly, format!("cannot sync {place}: {e}"))
        }
        CommitError::Rename(e) => disk_fault(place, &e),
    }
}

/// What a client is told when the disk refuses.
pub(crate) fn disk_fault(place: &str, error: &io::Error) -> Fault {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            ErrorCode::NoSpace
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => ErrorCode::ReadOnly,
        _ => ErrorCode::Unavailable,
    };
    Fault::new(code, format!("{place}: {error}"))
}
