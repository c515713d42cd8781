//! What this storage did since it started, and what went wrong last: for the trackers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use proto::report::{self, LastError, REPORT_ERRORS_MAX};
use proto::{ErrorCode, Fault};

/// How often something was asked for, and how often it was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: AtomicU64,
    success: AtomicU64,
}

/// Totals since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) uploads: Tally,
    pub(crate) upload_bytes: Tally,
    pub(crate) downloads: Tally,
    pub(crate) download_bytes: Tally,
    pub(crate) deletes: Tally,
    pub(crate) stats: Tally,
    errors: Mutex<VecDeque<LastError>>,
}

impl Tally {
    /// So much more was asked for.
    pub(crate) fn ask(&self, n: u64) {
        self.total.fetch_add(n, Ordering::Relaxed);
    }

    /// So much more was done.
    pub(crate) fn succeed(&self, n: u64) {
        self.success.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts one attempt by its outcome.
    pub(crate) fn count<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        self.ask(1);
        self.succeed(u64::from(result.is_ok()));
        result
    }

    fn read(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // In this order: never more done than asked for.
        let success = read(&self.success);
        (read(&self.total), success)
    }
}

impl Counters {
    /// Takes note of a fault that is this storage's own, not its client's.
    pub(crate) fn note(&self, fault: &Fault, time: i64) {
        use ErrorCode::{BadRequest, Busy, Exists, Forbidden, NotFound};
        if matches!(
            fault.code,
            BadRequest | NotFound | Exists | Forbidden | Busy
        ) {
            return;
        }
        let mut errors = self.errors.lock();
        // What comes again and again must not push out all else.
        errors.retain(|error| error.text != fault.message);
        errors.truncate(REPORT_ERRORS_MAX - 1);
        errors.push_front(LastError {
            time,
            text: fault.message.clone(),
        });
    }

    /// What went wrong last, the latest first.
    pub(crate) fn errors(&self) -> Vec<LastError> {
        self.errors.lock().iter().cloned().collect()
    }

    /// For the trackers; connections are counted elsewhere.
    pub(crate) fn totals(&self) -> report::Counters {
        let (total_upload_count, success_upload_count) = self.uploads.read();
        let (total_upload_bytes, success_upload_bytes) = self.upload_bytes.read();
        let (total_download_count, success_download_count) = self.downloads.read();
        let (total_download_bytes, success_download_bytes) = self.download_bytes.read();
        let (total_delete_count, success_delete_count) = self.deletes.read();
        let (total_stat_count, success_stat_count) = self.stats.read();
        report::Counters {
            total_upload_count,
            success_upload_count,
            total_upload_bytes,
            success_upload_bytes,
            total_download_count,
            success_download_count,
            total_download_bytes,
            success_download_bytes,
            total_delete_count,
            success_delete_count,
            total_stat_count,
            success_stat_count,
            ..report::Counters::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_faults_of_ours_are_kept_each_once() {
        let counters = Counters::default();
        let note = |code, text: &str, time| counters.note(&Fault::new(code, text), time);
        note(ErrorCode::NotFound, "no file", 1);
        assert_eq!(counters.errors(), []);
        for time in 0..10 {
            note(ErrorCode::NoSpace, "full", time);
        }
        for (time, text) in ["a", "b", "c"].into_iter().enumerate() {
            note(ErrorCode::Unavailable, text, time as i64);
        }
        let texts = || counters.errors().into_iter().map(|error| error.text);
        assert!(texts().eq(["c", "b", "a", "full"]));
        note(ErrorCode::Damaged, "d", 20);
        assert!(texts().eq(["d", "c", "b", "a"]));
    }
}
