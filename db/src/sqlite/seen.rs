//! How the database was when it was used last.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::{Availability, DbError};

/// What was found last. Reads and writes apart: a full disk serves reads.
#[derive(Debug, Default)]
pub(super) struct Seen {
    reads: Last,
    writes: Last,
    /// Writes that went well since the start.
    n_written: AtomicU64,
    /// Set once, for the life of the process: what is written to a damaged file may be lost, or
    /// overwrite what could have been saved.
    damage: OnceLock<DbError>,
}

/// How it was the last time.
#[derive(Debug, Default)]
struct Last {
    failed: AtomicBool,
    error: Mutex<Option<DbError>>,
}

impl Seen {
    /// Remembers what came of a read, and passes it on.
    pub(super) fn note_read<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        self.note(&self.reads, result)
    }

    /// Remembers what came of a write, and passes it on.
    pub(super) fn note_write<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        self.n_written
            .fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
        self.note(&self.writes, result)
    }

    /// How many writes went well since the start.
    pub(super) fn n_written(&self) -> u64 {
        self.n_written.load(Ordering::Relaxed)
    }

    /// # Errors
    /// The database was found damaged since it was opened.
    pub(super) fn check_damage(&self) -> Result<(), DbError> {
        self.damage.get().cloned().map_or(Ok(()), Err)
    }

    /// Whether the last write failed for a reason that may go away.
    pub(super) fn writing_failed(&self) -> bool {
        self.writes.has_failed() && self.damage.get().is_none()
    }

    pub(super) fn availability(&self) -> Availability {
        Availability {
            reads: self.reads.result(),
            writes: self.check_damage().and_then(|()| self.writes.result()),
        }
    }

    /// Remembers that the database is damaged; the first to say so has it logged.
    pub(super) fn note_damage(&self, error: &DbError) {
        if self.damage.set(error.clone()).is_ok() {
            let why = anyhow::Error::from(error.clone());
            log::error!("no more writes until the database is restored: {why:#}");
        }
    }

    fn note<T>(&self, last: &Last, result: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(error @ DbError::Damaged { .. }) = &result {
            self.note_damage(error);
        }
        last.note(result)
    }
}

impl Last {
    fn note<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        let error = result.as_ref().err().filter(|e| is_of_the_database(e));
        // Nearly always there was no error and there is none.
        if error.is_some() || self.has_failed() {
            let mut last = self.error.lock();
            *last = error.cloned();
            self.failed.store(last.is_some(), Ordering::Relaxed);
        }
        result
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn result(&self) -> Result<(), DbError> {
        self.error.lock().clone().map_or(Ok(()), Err)
    }
}

/// Whether it says something of the database, and not of one row.
fn is_of_the_database(error: &DbError) -> bool {
    matches!(error, DbError::UnknownOutcome { .. }) || error.is_unavailable()
}
