//! The queue of the processes that write one database. SQLite's own waiting is no queue: whoever
//! just committed is back before the sleeping others look again, and starves them.
//!
//! Two locks in two files: the owner of `.queue` is next, the owner of `.lock` writes. A process
//! that has just written has to take `.queue` again, which is held by the one that waits for
//! `.lock`, so it cannot pass. The kernel drops both locks of a process that dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::beside;

/// Whoever may write the database may lock it, less the umask.
const LOCK_FILE_MODE: u32 = 0o660;

/// The lock files of one database. They are never removed: a process that still has the old file
/// open would hold another lock.
#[derive(Debug)]
pub(super) struct FairLock {
    queue: File,
    lock: File,
}

/// The right to write; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    lock: &'a File,
}

impl FairLock {
    /// Opens the lock files beside `database`, making them when they are missing.
    pub(super) fn open(database: &Path) -> io::Result<FairLock> {
        Ok(FairLock {
            queue: open(&beside(database, ".queue"))?,
            lock: open(&beside(database, ".lock"))?,
        })
    }

    /// Waits for this process's turn, however long the others take. One thread of a process at a
    /// time: the locks do not order the threads of one process.
    pub(super) fn acquire(&self) -> io::Result<Turn<'_>> {
        set(&self.queue, FlockOperation::LockExclusive)?;
        let locked = set(&self.lock, FlockOperation::LockExclusive);
        set(&self.queue, FlockOperation::Unlock)?;
        locked?;
        Ok(Turn { lock: &self.lock })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = set(self.lock, FlockOperation::Unlock) {
            log::error!("cannot unlock the database for others: {error}");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(LOCK_FILE_MODE)
        .open(path)
}

fn set(file: &File, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
