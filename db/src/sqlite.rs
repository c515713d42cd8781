//! SQLite in one file, shared by the threads of this process and by other processes: any number
//! of readers beside one writer (WAL). Rows are read on the caller's thread and written on one
//! writer thread, where writes that wait together share one commit. Never put the file on a
//! network file system: WAL needs shared memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Stop, Ticker, folders, thread};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use parking_lot::Mutex;

use super::{Availability, CLOSE_TIME, DbError};

use fair_lock::FairLock;
use mark::Mark;
use placed::Placed;
use readers::Readers;
use schema::Lost;
use seen::Seen;
use writer::Writer;

mod fair_lock;
mod job;
mod mark;
mod placed;
mod readers;
mod schema;
mod seen;
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
    shared: Arc<Shared>,
    watcher: Mutex<Option<Ticker>>,
    closing: Stop,
}

/// What readers, the writer and the watcher know together.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    seen: Seen,
    placed: Placed,
}

impl Shared {
    /// Reads with a connection of its own: one that is kept has pages in memory, and does not find
    /// out what became of the file.
    fn read_afresh(&self) -> Result<(), DbError> {
        let connection = self.connect_reader()?;
        let sql = "select count(*) from sqlite_schema";
        Ok(connection.query_row(sql, [], |_| Ok(()))?)
    }

    /// A new connection, to the files that the others have open and to no others.
    fn connect_reader(&self) -> Result<Connection, DbError> {
        self.placed.check()?;
        connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }
}

impl Sqlite {
    /// Opens the database, making it and its parent folders when they are missing, and brings the
    /// tables of `component` up to date: `migrations` are SQL scripts, of which those that ran
    /// before are skipped. Several processes may do so at once, each component with tables of its
    /// own in the same file. Beside the file stand `<file>.queue` and `<file>.lock`, which order
    /// the writers of all processes.
    ///
    /// A hidden file beside it, `.<file>.<component>`, remembers that there are tables: where it is,
    /// a database without them was lost, and is not made anew.
    ///
    /// # Errors
    /// The file cannot be made or used, or was lost; a migration fails; or the schema is of a later
    /// version.
    pub fn open(
        path: &Path,
        synchronous: Synchronous,
        component: &str,
        migrations: &[&str],
    ) -> Result<Sqlite, DbError> {
        Sqlite::open_known(path, synchronous, component, migrations, None)
    }

    /// The same, where something else may tell that there were tables: `evidence` says what, as in
    /// `storage.state is there`.
    ///
    /// # Errors
    /// Those of [`Sqlite::open`].
    pub fn open_known(
        path: &Path,
        synchronous: Synchronous,
        component: &str,
        migrations: &[&str],
        evidence: Option<String>,
    ) -> Result<Sqlite, DbError> {
        let mark = Mark::new(path, component);
        let evidence = mark.evidence().or(evidence);
        let lost = evidence.as_deref().map(|evidence| Lost {
            path,
            component,
            evidence,
        });
        if let Some(lost) = lost.as_ref().filter(|_| !has_content(path)) {
            return Err(lost.error("is missing or empty"));
        }
        Sqlite::make_and_open(path, synchronous, component, migrations, lost)
    }

    fn make_and_open(
        path: &Path,
        synchronous: Synchronous,
        component: &str,
        migrations: &[&str],
        lost: Option<Lost<'_>>,
    ) -> Result<Sqlite, DbError> {
        if let Some(folder) = path.parent() {
            folders::create_all(folder).map_err(|e| unavailable("make its folder", e))?;
        }
        let lock = FairLock::open(path).map_err(|e| unavailable("open its lock files", e))?;
        let (connection, placed, written) = {
            let _turn = lock.acquire(&Stop::new())?;
            let mut connection = connect_writer(path, synchronous)?;
            schema::migrate(&mut connection, component, migrations, lost.as_ref())?;
            let placed = Placed::of(path).map_err(|e| unavailable("look at its files", e))?;
            // On a full disk all that is above succeeds: tables that are there cost no write.
            let written = watch::touch(&connection);
            (connection, placed, written)
        };
        if let Err(e) = Mark::new(path, component).make() {
            log::warn!("no file remembers that {} was made: {e}", path.display());
        }
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            seen: Seen::default(),
            placed,
        });
        if let Err(e) = shared.seen.note_write(written) {
            let why = anyhow::Error::from(e);
            log::warn!("{} takes no writes: {why:#}; trying on", path.display());
        }
        Sqlite::start(connection, lock, shared)
    }

    /// Starts the threads of a database that is ready.
    fn start(
        connection: Connection,
        lock: FairLock,
        shared: Arc<Shared>,
    ) -> Result<Sqlite, DbError> {
        let readers = Arc::new(Readers::new(Arc::clone(&shared)));
        let closing = Stop::new();
        let writer = Writer::start(connection, lock, Arc::clone(&shared), closing.clone())?;
        let writer = Arc::new(writer);
        let watcher = watch::start(&shared, &writer, closing.clone())
            .map_err(|e| unavailable("start its watcher thread", e))?;
        Ok(Sqlite {
            readers,
            writer,
            shared,
            watcher: Mutex::new(Some(watcher)),
            closing,
        })
    }

    /// Makes the file and the tables of `component` when they are missing, also where they were
    /// lost, and tells what it did, a line for each thing.
    ///
    /// # Errors
    /// Those of [`Sqlite::open`].
    pub fn init(path: &Path, component: &str, migrations: &[&str]) -> Result<Vec<String>, DbError> {
        let is_new = !has_content(path);
        let before = if is_new {
            0
        } else {
            schema::version_of(path, component)?
        };
        Sqlite::make_and_open(path, Synchronous::Full, component, migrations, None)?.close();
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
        self.shared.seen.note_read(self.readers.read(work))
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
        self.shared.seen.note_write(pending.and_then(|p| p.wait()))
    }

    /// How many commits there were: fewer than writes when writes shared them.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Tells from memory whether the database can be used, as it was found last.
    pub fn availability(&self) -> Availability {
        self.shared.seen.availability()
    }

    /// Finishes the writes that wait, unless another process or the disk keeps them from it for long,
    /// and closes every connection as soon as its reader is done. Reads and writes that come later
    /// fail with [`DbError::Closed`]. Closing again does nothing.
    pub fn close(&self) {
        let start = Instant::now();
        self.closing.trip();
        self.readers.close();
        {
            // The lock is held while joining, so that a second closer returns after the end too.
            let mut watcher = self.watcher.lock();
            thread::join_or_leave(
                watcher.take().map(Ticker::into_thread),
                start + CLOSE_TIME / 2,
            );
        }
        // The last, because readers cannot remove the log.
        self.writer.close(start + CLOSE_TIME);
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a file is there and more than an empty one.
fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
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
    let extended = error.sqlite_error().map(|inner| inner.extended_code);
    let code = error.sqlite_error_code();
    let source = Arc::new(error);
    match code {
        _ if is_unique => DbError::Conflict { source },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DbError::Damaged { source },
        // The log is shorter than its index says: somebody has cut it off.
        _ if extended == Some(ffi::SQLITE_IOERR_SHORT_READ) => DbError::Damaged { source },
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
            DbError::Unfit { source }
        }
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
