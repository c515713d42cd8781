//! Whether the open files are still those that the database's path names. A file that was removed
//! or replaced stays open and takes rows, which are gone with the process.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::beside;
use crate::DbError;

/// The database, its log and the index of the log.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// The files of an open database, by device and inode.
#[derive(Debug)]
pub(super) struct Placed(Vec<(PathBuf, FileId)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Placed {
    /// Remembers the files of the database at `path`, which a connection has open and has written
    /// to or begun to.
    ///
    /// # Errors
    /// One of them is not there.
    pub(super) fn of(path: &Path) -> io::Result<Placed> {
        let mut files = Vec::with_capacity(SUFFIXES.len());
        for suffix in SUFFIXES {
            let file = beside(path, suffix);
            let id = id_of(&file)?;
            files.push((file, id));
        }
        Ok(Placed(files))
    }

    /// # Errors
    /// [`DbError::Moved`] when another file or none lies where one of them was.
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
