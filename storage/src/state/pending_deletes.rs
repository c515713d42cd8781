//! Unfinished deletions that requests met.

use std::sync::atomic::{AtomicU64, Ordering};

use base::LogThrottle;

/// Counts unfinished deletions, so that the deletion job runs before its hour.
#[derive(Debug, Default)]
pub(crate) struct PendingDeletes {
    met: AtomicU64,
    /// Bounds the log lines: each DELETE may cause one while the disk or the database refuses.
    pub(crate) log: LogThrottle<()>,
}

impl PendingDeletes {
    /// Notes an unfinished deletion.
    pub(crate) fn note(&self) {
        self.met.fetch_add(1, Ordering::Relaxed);
    }

    /// True if one was noted since the count `seen`, which is updated.
    pub(crate) fn is_new(&self, seen: &mut u64) -> bool {
        let count = self.met.load(Ordering::Relaxed);
        std::mem::replace(seen, count) != count
    }
}
