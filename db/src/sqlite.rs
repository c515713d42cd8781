//! SQLite in one file, shared by the threads of this process and by other processes: any number of
//! readers beside one writer (WAL). Rows are read on the caller's thread. One writer thread writes
//! them, and commits waiting writes together. The file must not be on a network file system: WAL needs
//! shared memory.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Stop, Ticker, folders, thread};
use rusqlite::{Connection, OpenFlags};

use parking_lot::Mutex;

use super::{Availability, CLOSE_TIME, DbError};

use engine_error::{engine_error, unavailable};
use fair_lock::FairLock;
use file_identities::FileIdentities;
use latest_outcomes::LatestOutcomes;
use read_only::ReadOnly;
use readers::Readers;
use schema::Lost;
use tables_marker::TablesMarker;
use writer::Writer;

mod engine_error;
mod fair_lock;
mod file_identities;
mod file_monitor;
mod job;
mod latest_outcomes;
mod read_only;
mod readers;
mod schema;
mod tables_marker;
mod writer;

/// How long a statement waits for a lock inside SQLite. Writers of this program queue before
/// that, so this is for checkpoints and for other programs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 64;

/// The point that a commit waits for.
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
    monitor: Mutex<Option<Ticker>>,
    closing: Stop,
}

/// State that readers, the writer and the monitor share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    outcomes: LatestOutcomes,
    files: FileIdentities,
    /// Present if the file system took no writes at the start.
    read_only: Option<ReadOnly>,
}

impl Shared {
    /// Reads with a new connection: one with cached pages does not notice changes of the file.
    fn read_afresh(&self) -> Result<(), DbError> {
        let connection = self.connect_reader()?;
        let sql = "select count(*) from sqlite_schema";
        let read = connection.query_row(sql, [], |_| Ok(()));
        self.check_unchanged().and(read.map_err(DbError::from))
    }

    /// Checks after a read without locks that no other process has changed the files.
    fn check_unchanged(&self) -> Result<(), DbError> {
        self.read_only.as_ref().map_or(Ok(()), ReadOnly::check)
    }

    /// A new connection, which fails if the files are not those that other connections have open.
    fn connect_reader(&self) -> Result<Connection, DbError> {
        self.files.check()?;
        match &self.read_only {
            Some(read_only) => read_only.connect(),
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY),
        }
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
    /// On a read-only file system an existing database is opened for reads only, until it is opened
    /// again.
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
        let marker = TablesMarker::new(path, component);
        let evidence = marker.evidence().or(evidence);
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
        let lock = match FairLock::open(path) {
            Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem && has_content(path) => {
                return Sqlite::open_read_only(path, component, migrations.len(), lost.as_ref());
            }
            lock => lock.map_err(|e| unavailable("open its lock files", e))?,
        };
        let (connection, files, written) = {
            let _guard = lock.acquire(&Stop::new())?;
            let mut connection = connect_writer(path, synchronous)?;
            schema::migrate(&mut connection, component, migrations, lost.as_ref())?;
            let files =
                FileIdentities::of(path).map_err(|e| unavailable("look at its files", e))?;
            // A full disk is noticed only here: existing tables need no write.
            let written = file_monitor::touch(&connection);
            (connection, files, written)
        };
        if let Err(e) = TablesMarker::new(path, component).make() {
            log::warn!("no file remembers that {} was made: {e}", path.display());
        }
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            outcomes: LatestOutcomes::default(),
            files,
            read_only: None,
        });
        if let Err(e) = shared.outcomes.note_write(written) {
            let why = anyhow::Error::from(e);
            log::warn!("{} takes no writes: {why:#}; trying on", path.display());
        }
        let closing = Stop::new();
        let writer = Writer::start(connection, lock, Arc::clone(&shared), closing.clone())?;
        Sqlite::start(writer, shared, closing)
    }

    /// Starts the monitor thread of a database that is ready.
    fn start(writer: Writer, shared: Arc<Shared>, closing: Stop) -> Result<Sqlite, DbError> {
        let readers = Arc::new(Readers::new(Arc::clone(&shared)));
        let writer = Arc::new(writer);
        let monitor = file_monitor::start(&shared, &writer, closing.clone())
            .map_err(|e| unavailable("start its monitor thread", e))?;
        Ok(Sqlite {
            readers,
            writer,
            shared,
            monitor: Mutex::new(Some(monitor)),
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

    /// Reads on this thread. Sees all writes that are committed; each statement sees newer ones. Use
    /// `prepare_cached`. Waits when too many threads read at once.
    ///
    /// # Errors
    /// Those of `work`; no connection comes free in time; or the database is closed.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let read = self.readers.read(work);
        let read = self.shared.check_unchanged().and(read);
        self.shared.outcomes.note_read(read)
    }

    /// Runs `work` on the writer thread and returns when its changes are committed, together with other
    /// writes. If `work` fails or panics, only its own changes are undone. `work` must not end the
    /// transaction, call this database again, or be slow. Nothing is committed while it runs, so it must
    /// pass on results only by returning them.
    ///
    /// # Errors
    /// Those of `work`; the commit fails or its outcome is unknown; the writer is not free in
    /// time; or the database is closed.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let pending = self.writer.submit(work);
        self.shared
            .outcomes
            .note_write(pending.and_then(|p| p.wait()))
    }

    /// Number of commits; fewer than writes if writes share commits.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Whether the database can be used, from the latest outcomes. Does not access it.
    pub fn availability(&self) -> Availability {
        self.shared.outcomes.availability()
    }

    /// Finishes waiting writes within a deadline and closes every connection when its reader is done.
    /// Later reads and writes fail with [`DbError::Closed`]. Closing again does nothing.
    pub fn close(&self) {
        let start = Instant::now();
        self.closing.trip();
        self.readers.close();
        {
            // The lock is held while joining, so that a second closer returns after the end too.
            let mut monitor = self.monitor.lock();
            thread::join_or_leave(
                monitor.take().map(Ticker::into_thread),
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

/// True if the file exists and is not empty.
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

/// `path` with `suffix` behind its last part.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
