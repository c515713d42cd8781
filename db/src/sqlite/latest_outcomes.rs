//! The latest outcomes of reads and writes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::{Availability, DbError};

/// The latest outcomes. Reads and writes are separate: a full disk serves reads.
#[derive(Debug, Default)]
pub(super) struct LatestOutcomes {
    reads: LatestOutcome,
    writes: LatestOutcome,
    /// Successful writes since the start.
    n_written: AtomicU64,
    /// Set once, for the life of the process: writes to a damaged file may be lost, or overwrite rows
    /// that could be recovered.
    damage: OnceLock<DbError>,
}

#[derive(Debug, Default)]
struct LatestOutcome {
    failed: AtomicBool,
    error: Mutex<Option<DbError>>,
}

impl LatestOutcomes {
    /// Records the result of a read, and returns it.
    pub(super) fn note_read<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        self.note(&self.reads, result)
    }

    /// Records the result of a write, and returns it.
    pub(super) fn note_write<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        self.n_written
            .fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
        self.note(&self.writes, result)
    }

    pub(super) fn n_written(&self) -> u64 {
        self.n_written.load(Ordering::Relaxed)
    }

    /// # Errors
    /// The database is damaged.
    pub(super) fn check_damage(&self) -> Result<(), DbError> {
        self.damage.get().cloned().map_or(Ok(()), Err)
    }

    /// True if the latest write failed for a reason that may go away.
    pub(super) fn writing_failed(&self) -> bool {
        self.writes.has_failed() && self.damage.get().is_none()
    }

    pub(super) fn availability(&self) -> Availability {
        Availability {
            reads: self.reads.result(),
            writes: self.check_damage().and_then(|()| self.writes.result()),
        }
    }

    /// Records that the database is damaged, and logs it the first time.
    pub(super) fn note_damage(&self, error: &DbError) {
        if self.damage.set(error.clone()).is_ok() {
            let why = anyhow::Error::from(error.clone());
            log::error!("no more writes until the database is restored: {why:#}");
        }
    }

    fn note<T>(&self, last: &LatestOutcome, result: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(error @ DbError::Damaged { .. }) = &result {
            self.note_damage(error);
        }
        last.note(result)
    }
}

impl LatestOutcome {
    fn note<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        let error = result.as_ref().err().filter(|e| is_of_the_database(e));
        // The lock is needed only for an error, or after one.
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

/// True if the error concerns the database and not one row or one kind of statement.
fn is_of_the_database(error: &DbError) -> bool {
    match error {
        DbError::UnknownOutcome { .. } => true,
        DbError::NoIndex { .. } => false,
        error => error.is_unavailable(),
    }
}
