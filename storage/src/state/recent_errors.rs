//! The latest errors, which reports show to trackers.

use std::collections::VecDeque;

use parking_lot::Mutex;
use proto::report::{REPORT_ERRORS_MAX, ReportedError};
use proto::{ErrorCode, Fault};

/// The latest errors first, each text once.
#[derive(Debug, Default)]
pub(crate) struct RecentErrors(Mutex<VecDeque<ReportedError>>);

impl RecentErrors {
    /// Notes a fault that the storage caused, not its client.
    pub(crate) fn note(&self, fault: &Fault, time: i64) {
        use ErrorCode::{BadRequest, Busy, Exists, Forbidden, NotFound};
        if matches!(
            fault.code,
            BadRequest | NotFound | Exists | Forbidden | Busy
        ) {
            return;
        }
        let mut errors = self.0.lock();
        // A repeated error must not displace all others.
        errors.retain(|error| error.text != fault.message);
        errors.truncate(REPORT_ERRORS_MAX - 1);
        errors.push_front(ReportedError {
            time,
            text: fault.message.clone(),
        });
    }

    /// The latest errors first.
    pub(crate) fn list(&self) -> Vec<ReportedError> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_faults_of_ours_are_kept_each_once() {
        let errors = RecentErrors::default();
        let note = |code, text: &str, time| errors.note(&Fault::new(code, text), time);
        note(ErrorCode::NotFound, "no file", 1);
        assert_eq!(errors.list(), []);
        for time in 0..10 {
            note(ErrorCode::NoSpace, "full", time);
        }
        for (time, text) in ["a", "b", "c"].into_iter().enumerate() {
            note(ErrorCode::Unavailable, text, time as i64);
        }
        let texts = || errors.list().into_iter().map(|error| error.text);
        assert!(texts().eq(["c", "b", "a", "full"]));
        note(ErrorCode::Damaged, "d", 20);
        assert!(texts().eq(["d", "c", "b", "a"]));
    }
}
