//! Whether the server has room for rows. A server whose disk is full serves reads, and each write
//! finds out anew: no look without a row can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::DbError;

/// How long a lack of room is believed. Then the next write finds out.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// What the last write says of the room for rows.
#[derive(Debug, Default)]
pub(super) struct Room {
    is_lacking: AtomicBool,
    lack: Mutex<Option<(Instant, DbError)>>,
}

impl Room {
    /// A write was made: there is room.
    pub(super) fn note_written(&self) {
        // Nearly always there was room before.
        if self.is_lacking.load(Ordering::Relaxed) {
            self.is_lacking.store(false, Ordering::Relaxed);
            *self.lack.lock() = None;
        }
    }

    /// A write was refused for lack of room.
    pub(super) fn note_lack(&self, error: &DbError) {
        *self.lack.lock() = Some((Instant::now(), error.clone()));
        self.is_lacking.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// The last write was refused for lack of room, and not long ago.
    pub(super) fn check(&self) -> Result<(), DbError> {
        match &*self.lack.lock() {
            Some((since, error)) if since.elapsed() < BELIEVED_FOR => Err(error.clone()),
            _ => Ok(()),
        }
    }
}
