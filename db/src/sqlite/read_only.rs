//! A database on a file system that takes no writes. SQLite needs the index of the log beside the
//! file, and can neither make nor lock it there. So rows in a log are read with an index in memory,
//! and a file without a log is read as one that does not change.
//!
//! Once the file system takes writes again, another process may change the files, which a connection
//! without locks does not notice. So the files are compared behind each read.

use std::fmt::Write;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Stop;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::StatVfsMountFlags;

use super::file_identities::FileIdentities;
use super::latest_outcomes::LatestOutcomes;
use super::schema::{self, Lost};
use super::writer::Writer;
use super::{Shared, Sqlite, beside, connect, engine_error, unavailable};
use crate::DbError;

/// The files that rows are in, or without which they are not whole: the database, its log, and the
/// journal of a program that uses no log.
const FILES: [&str; 3] = ["", "-wal", "-journal"];

/// How the files were when the database was opened.
#[derive(Debug)]
pub(super) struct ReadOnly {
    path: PathBuf,
    files: [Option<Stamp>; 3],
}

/// Properties of a file that change when it is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl ReadOnly {
    /// Of the database at `path`, which is no symbolic link: SQLite looks for a log beside the
    /// target.
    ///
    /// # Errors
    /// A file cannot be looked at.
    pub(super) fn of(path: &Path) -> io::Result<ReadOnly> {
        Ok(ReadOnly {
            path: path.to_owned(),
            files: stamps(path)?,
        })
    }

    /// Why nothing is written.
    pub(super) fn refusal(&self) -> DbError {
        let path = self.path.display();
        let text = format!(
            "the file system of {path} was read-only at the start: mount it writable and restart"
        );
        let source = Arc::new(io::Error::other(text));
        DbError::ReadsOnly { source }
    }

    /// A new connection. It takes no locks.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn connect(&self) -> Result<Connection, DbError> {
        let [_, log, journal] = self.files;
        let is_whole = log.is_none() && journal.is_none();
        let option = if is_whole {
            "immutable=1"
        } else {
            "vfs=unix-none"
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = connect(Path::new(&uri(&self.path, option)), flags)?;
        // Has SQLite keep the index of the log in memory.
        connection
            .pragma_update(None, "locking_mode", "EXCLUSIVE")
            .map_err(|e| engine_error("set up the database", e))?;
        Ok(connection)
    }

    /// Checks that what was read is what is there.
    ///
    /// # Errors
    /// Another process has changed the files.
    pub(super) fn check(&self) -> Result<(), DbError> {
        let what = "read what another process writes again, restart this daemon";
        let found = stamps(&self.path).map_err(|e| unavailable(what, e))?;
        if found == self.files {
            return Ok(());
        }
        let text = format!("{} or its log has changed", self.path.display());
        Err(unavailable(what, io::Error::other(text)))
    }
}

impl Sqlite {
    /// Opens an existing database for reads only, while other processes may write to it. Nothing is
    /// made or migrated, and no lock of writers is taken.
    ///
    /// # Errors
    /// It cannot be read, or its tables are not those of version `n_migrations`.
    pub fn open_for_reads(
        path: &Path,
        component: &str,
        n_migrations: usize,
    ) -> Result<Sqlite, DbError> {
        let mount = rustix::fs::statvfs(path).map_err(|e| unavailable("find it", e.into()))?;
        if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Sqlite::open_read_only(path, component, n_migrations, None);
        }
        let what = "read its tables, start the daemon that makes them first";
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        schema::check(&connection, component, n_migrations as u32, None, what)?;
        let text = format!("{} is open for reads only", path.display());
        let source = Arc::new(io::Error::other(text));
        Sqlite::start_refusing_writes(path, None, DbError::ReadsOnly { source })
    }

    /// Opens a database on a file system that takes no writes.
    pub(super) fn open_read_only(
        path: &Path,
        component: &str,
        n_migrations: usize,
        lost: Option<&Lost<'_>>,
    ) -> Result<Sqlite, DbError> {
        let read_only = path.canonicalize().and_then(|real| ReadOnly::of(&real));
        let read_only = read_only.map_err(|e| unavailable("look at its files", e))?;
        let what = "use it on a read-only file system, mount that writable once";
        let connection = read_only.connect()?;
        schema::check(&connection, component, n_migrations as u32, lost, what)?;
        let refusal = read_only.refusal();
        log::warn!(
            "{} takes no writes: its file system is read-only; mount it writable and restart",
            path.display()
        );
        Sqlite::start_refusing_writes(path, Some(read_only), refusal)
    }

    fn start_refusing_writes(
        path: &Path,
        read_only: Option<ReadOnly>,
        refusal: DbError,
    ) -> Result<Sqlite, DbError> {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            outcomes: LatestOutcomes::default(),
            files: FileIdentities::default(),
            read_only,
        });
        // The monitor would record it only after some seconds.
        let noted: Result<(), DbError> = shared.outcomes.note_write(Err(refusal.clone()));
        drop(noted);
        Sqlite::start(Writer::refusing(refusal), shared, Stop::new())
    }
}

/// Of each file; none of one that is not there or empty.
fn stamps(path: &Path) -> io::Result<[Option<Stamp>; 3]> {
    let mut stamps = [None; 3];
    for (stamp, suffix) in stamps.iter_mut().zip(FILES) {
        *stamp = match fs::metadata(beside(path, suffix)) {
            Ok(found) => (found.len() > 0).then(|| Stamp {
                device: found.dev(),
                inode: found.ino(),
                size: found.len(),
                modified: (found.mtime(), found.mtime_nsec()),
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
    }
    Ok(stamps)
}

/// A path as SQLite takes it with an option.
fn uri(path: &Path, option: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        // Writing to a string does not fail.
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' => write!(uri, "{}", char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => write!(uri, "{}", char::from(*byte)),
            _ => write!(uri, "%{byte:02X}"),
        };
    }
    uri + "?" + option
}
