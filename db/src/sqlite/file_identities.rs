//! Checks that the open files are still those that the path of the database names. A file that was
//! removed or replaced stays open and takes rows, which are lost when the process ends.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::beside;
use crate::DbError;

/// The database, its log and the index of the log.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// The files of an open database, by device and inode. By default there are none to check.
#[derive(Debug, Default)]
pub(super) struct FileIdentities(Vec<(PathBuf, FileId)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileIdentities {
    /// Records the files of the database at `path`, which a connection has open.
    ///
    /// # Errors
    /// One of them is missing.
    pub(super) fn of(path: &Path) -> io::Result<FileIdentities> {
        let mut files = Vec::with_capacity(SUFFIXES.len());
        for suffix in SUFFIXES {
            let file = beside(path, suffix);
            let id = id_of(&file)?;
            files.push((file, id));
        }
        Ok(FileIdentities(files))
    }

    /// # Errors
    /// [`DbError::Moved`] if one of them is missing or replaced.
    pub(super) fn check(&self) -> Result<(), DbError> {
        for (path, id) in &self.0 {
            let why = match id_of(path) {
                Ok(found) if found == *id => continue,
                Ok(_) => "is another file than the one in use".to_owned(),
                Err(e) => e.to_string(),
            };
            let source = Arc::new(io::Error::other(format!("{}: {why}", path.display())));
            return Err(DbError::Moved { source });
        }
        Ok(())
    }
}

fn id_of(path: &Path) -> io::Result<FileId> {
    let found = fs::metadata(path)?;
    Ok(FileId {
        device: found.dev(),
        inode: found.ino(),
    })
}
