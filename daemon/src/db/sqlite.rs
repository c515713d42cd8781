//! SQLite in one file, shared by the threads of this process and by other processes: any number
//! of readers beside one writer (WAL). Rows are read on the caller's thread and written on one
//! writer thread, where writes that wait together share one commit. Never put the file on a
//! network file system: WAL needs shared memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use parking_lot::Mutex;

use super::DbError;
use crate::Stop;
use crate::ticker::Ticker;

use fair_lock::FairLock;
use readers::Readers;
use watch::Seen;
use writer::Writer;

mod fair_lock;
mod job;
mod readers;
mod schema;
mod watch;
mod writer;

/// How long a statement waits for a lock inside SQLite. Writers of this program queue before
/// that, so this is for checkpoints and for other programs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 64;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// The disk: a committed row survives a power cut.
    Full,
    /// The kernel: a committed row survives a crash of the process, not always a power cut; the
    /// database stays consistent.
    Normal,
}

/// An open database. All threads share it; `close` it before the process ends.
#[derive(Debug)]
pub struct Sqlite {
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    seen: Arc<Seen>,
    watcher: Mutex<Option<Ticker>>,
    closing: Stop,
}

impl Sqlite {
    /// Opens the database, making it and its parent folders when they are missing, and brings the
    /// tables of `component` up to date: `migrations` are SQL scripts, of which those that ran
    /// before are skipped. Several processes may do so at once, each component with tables of its
    /// own in the same file. Beside the file stand `<file>.queue` and `<file>.lock`, which order
    /// the writers of all processes.
    ///
    /// # Errors
    /// The file cannot be made or used; a migration fails; or the schema is of a later version.
    pub fn open(
        path: &Path,
        synchronous: Synchronous,
        component: &str,
        migrations: &[&str],
    ) -> Result<Sqlite, DbError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| unavailable("make its folder", e))?;
        }
        let lock = FairLock::open(path).map_err(|e| unavailable("open its lock files", e))?;
        let connection = {
            let _turn = lock
                .acquire()
                .map_err(|e| unavailable("lock the database", e))?;
            let mut connection = connect_writer(path, synchronous)?;
            schema::migrate(&mut connection, component, migrations)?;
            connection
        };
        let readers = Arc::new(Readers::new(path.to_owned()));
        let writer = Arc::new(Writer::start(connection, lock)?);
        let (seen, closing) = (Arc::new(Seen::default()), Stop::new());
        let watcher = watch::start(&seen, &readers, &writer, closing.clone())
            .map_err(|e| unavailable("start its watcher thread", e))?;
        Ok(Sqlite {
            readers,
            writer,
            seen,
            watcher: Mutex::new(Some(watcher)),
            closing,
        })
    }

    /// Makes the file and the tables of `component` when they are missing, as [`Sqlite::open`] does,
    /// and tells what it did, a line for each thing.
    ///
    /// # Errors
    /// Those of [`Sqlite::open`].
    pub fn init(path: &Path, component: &str, migrations: &[&str]) -> Result<Vec<String>, DbError> {
        let is_new = !path.exists();
        let before = if is_new {
            0
        } else {
            schema::version_of(path, component)?
        };
        Sqlite::open(path, Synchronous::Full, component, migrations)?.close();
        let mut done = Vec::new();
        if is_new {
            done.push(format!("made {}", path.display()));
        }
        let now = migrations.len();
        done.push(if before as usize == now {
            format!("tables of {component} are at version {now}")
        } else {
            format!("tables of {component} brought from version {before} to {now}")
        });
        Ok(done)
    }

    /// Reads on this thread. What was written before is seen, what is written meanwhile may be
    /// seen from one statement to the next. Use `prepare_cached`. Waits when too many threads
    /// read at once.
    ///
    /// # Errors
    /// Those of `work`; no connection comes free in time; or the database is closed.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.seen.reads.note(self.readers.read(work))
    }

    /// Runs `work` on the writer thread and returns when its changes are committed, together with
    /// those of others. When `work` fails or panics its changes are undone and nobody else's.
    /// It must not end the transaction, call this database again, or do anything slow; what it
    /// returns is not yet committed while it runs, so let nothing else out of it.
    ///
    /// # Errors
    /// Those of `work`; the commit fails or its outcome is unknown; the writer is not free in
    /// time; or the database is closed.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let pending = self.writer.submit(work);
        self.seen.writes.note(pending.and_then(|p| p.wait()))
    }

    /// How many commits there were: fewer than writes when writes shared them.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Tells from memory whether the database can be used, as it was found last.
    ///
    /// # Errors
    /// Why not.
    pub fn availability(&self) -> Result<(), DbError> {
        self.seen.availability()
    }

    /// Finishes the writes that wait and closes every connection as soon as its reader is done.
    /// Reads and writes that come later fail with [`DbError::Closed`]. Closing again does nothing.
    pub fn close(&self) {
        self.closing.trip();
        self.readers.close();
        // The lock is held while joining, so that a second closer returns after the end too.
        if let Some(watcher) = self.watcher.lock().take() {
            watcher.join();
        }
        // The last, because readers cannot remove the log.
        self.writer.close();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

fn connect_writer(path: &Path, synchronous: Synchronous) -> Result<Connection, DbError> {
    let connection = connect(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    let level = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", level))
        .map_err(|e| engine_error("set up the database", e))?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, DbError> {
    let cannot = |error| engine_error("open the database", error);
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(cannot)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(cannot)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    for pragma in ["foreign_keys", "trusted_schema"] {
        connection
            .pragma_update(None, pragma, "OFF")
            .map_err(cannot)?;
    }
    Ok(connection)
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> DbError {
        engine_error("run a statement", error)
    }
}

/// Sorts what SQLite says by what a caller can do about it.
fn engine_error(what: &'static str, error: rusqlite::Error) -> DbError {
    let unique = [
        ffi::SQLITE_CONSTRAINT_UNIQUE,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        ffi::SQLITE_CONSTRAINT_ROWID,
    ];
    let is_unique = error
        .sqlite_error()
        .is_some_and(|inner| unique.contains(&inner.extended_code));
    let code = error.sqlite_error_code();
    let source = Arc::new(error);
    match code {
        _ if is_unique => DbError::Conflict { source },
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed,
        ) => DbError::Unavailable { what, source },
        _ => DbError::Other { what, source },
    }
}

fn unavailable(what: &'static str, error: std::io::Error) -> DbError {
    DbError::Unavailable {
        what,
        source: Arc::new(error),
    }
}

/// `path` with `suffix` behind its last part.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
