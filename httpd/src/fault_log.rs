//! Failures of storages and trackers in the log, in bounds: while they are away every request
//! fails, and a line for each would fill the disk.

use std::time::{Duration, Instant};

use client::Error;
use log::error;
use parking_lot::Mutex;
use proto::FileKey;

/// Failures of one status that come faster are counted, not written.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes failures down, at most one of each status in a second.
#[derive(Default)]
pub(crate) struct FaultLog(Mutex<Vec<Recent>>);

/// The last line about one status.
struct Recent {
    status: u16,
    at: Instant,
    unwritten: u64,
}

impl FaultLog {
    /// Takes note of a failure that was answered with `status`; the line holds all its causes.
    pub(crate) fn note(&self, status: u16, key: &FileKey, error: &Error) {
        let Some(unwritten) = self.due(status, Instant::now()) else {
            return;
        };
        let chain = error.chain();
        match unwritten {
            0 => error!("{key}: {status}: {chain}"),
            n => error!("{key}: {status}: {chain}; {n} more like it before"),
        }
    }

    /// How many failures of this status were not written since the last line, if one is due.
    fn due(&self, status: u16, now: Instant) -> Option<u64> {
        let mut recents = self.0.lock();
        let Some(recent) = recents.iter_mut().find(|recent| recent.status == status) else {
            recents.push(Recent {
                status,
                at: now,
                unwritten: 0,
            });
            return Some(0);
        };
        if now.saturating_duration_since(recent.at) < INTERVAL {
            recent.unwritten += 1;
            return None;
        }
        recent.at = now;
        Some(std::mem::take(&mut recent.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_once_in_its_interval() {
        let log = FaultLog::default();
        let began = Instant::now();
        assert_eq!(log.due(503, began), Some(0));
        assert_eq!(log.due(502, began), Some(0));
        for _ in 0..5 {
            assert_eq!(log.due(503, began), None);
        }
        assert_eq!(log.due(503, began + INTERVAL), Some(5));
        assert_eq!(log.due(503, began + 2 * INTERVAL), Some(0));
    }
}
