//! Remembers that the disk of the server is full. Such a server serves reads; only a write notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::DbError;

/// How long a full disk is assumed to stay full. Then the next write tries.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// The error of the latest write, if it failed on a full disk.
#[derive(Debug, Default)]
pub(super) struct DiskFull {
    is_full: AtomicBool,
    error: Mutex<Option<(Instant, DbError)>>,
}

impl DiskFull {
    /// Records a successful write.
    pub(super) fn note_written(&self) {
        // The lock is needed only after a failure.
        if self.is_full.load(Ordering::Relaxed) {
            self.is_full.store(false, Ordering::Relaxed);
            *self.error.lock() = None;
        }
    }

    /// Records a write that failed on a full disk.
    pub(super) fn note_full(&self, error: &DbError) {
        *self.error.lock() = Some((Instant::now(), error.clone()));
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// The latest write failed on a full disk, less than [`BELIEVED_FOR`] ago.
    pub(super) fn check(&self) -> Result<(), DbError> {
        match &*self.error.lock() {
            Some((since, error)) if since.elapsed() < BELIEVED_FOR => Err(error.clone()),
            _ => Ok(()),
        }
    }
}
