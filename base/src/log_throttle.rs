//! Limits the rate of log lines, so that a frequent line does not fill the disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Interval of lines of one kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// Passes one line per second of each kind `K`, after a burst. There should be few kinds.
#[derive(Debug)]
pub struct LogThrottle<K> {
    burst: u32,
    lines: Mutex<Vec<Last<K>>>,
}

/// The latest line of a kind.
#[derive(Debug)]
struct Last<K> {
    kind: K,
    at: Instant,
    /// Lines that may pass, as time.
    credit: Duration,
    unwritten: u64,
}

impl<K> Default for LogThrottle<K> {
    fn default() -> LogThrottle<K> {
        LogThrottle::with_burst(1)
    }
}

impl<K> LogThrottle<K> {
    /// Passes bursts of `burst` lines of a kind, at least one.
    pub fn with_burst(burst: u32) -> LogThrottle<K> {
        LogThrottle {
            burst: burst.max(1),
            lines: Mutex::new(Vec::new()),
        }
    }
}

impl<K: PartialEq> LogThrottle<K> {
    /// `Some` if a line of this kind may pass: the text to append, which gives the number of lines
    /// suppressed since the previous one, and is empty if there were none.
    pub fn due(&self, kind: K) -> Option<String> {
        let unwritten = self.due_at(kind, Instant::now())?;
        let more = (unwritten > 0).then(|| format!("; {unwritten} more like it before"));
        Some(more.unwrap_or_default())
    }

    fn due_at(&self, kind: K, now: Instant) -> Option<u64> {
        let most = INTERVAL * self.burst;
        let mut lines = self.lines.lock();
        let Some(last) = lines.iter_mut().find(|last| last.kind == kind) else {
            lines.push(Last {
                kind,
                at: now,
                credit: most - INTERVAL,
                unwritten: 0,
            });
            return Some(0);
        };
        let credit = last.credit + now.saturating_duration_since(last.at);
        (last.at, last.credit) = (now, credit.min(most));
        let Some(left) = last.credit.checked_sub(INTERVAL) else {
            last.unwritten += 1;
            return None;
        };
        last.credit = left;
        Some(std::mem::take(&mut last.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_kind_is_due_once_in_its_interval() {
        let seldom = LogThrottle::default();
        let began = Instant::now();
        assert_eq!(seldom.due_at(503, began), Some(0));
        assert_eq!(seldom.due_at(502, began), Some(0));
        for _ in 0..5 {
            assert_eq!(seldom.due_at(503, began), None);
        }
        assert_eq!(seldom.due_at(503, began + INTERVAL), Some(5));
        assert_eq!(seldom.due_at(503, began + 2 * INTERVAL), Some(0));
        assert_eq!(LogThrottle::default().due(()), Some(String::new()));
    }
    #[test]
    fn a_burst_is_let_through_and_then_one_line_in_each_interval() {
        let seldom = LogThrottle::with_burst(3);
        let began = Instant::now();
        let n_due = |secs: u32| {
            let due = (0..10).filter_map(|_| seldom.due_at((), began + INTERVAL * secs));
            due.count()
        };
        assert_eq!([0, 1, 2, 60].map(n_due), [3, 1, 1, 3]);
        assert_eq!(seldom.due_at((), began + INTERVAL * 61), Some(7));
    }
}
