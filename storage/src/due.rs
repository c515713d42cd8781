//! When a periodic job is due that is tried again sooner when it fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::LogThrottle;

/// Counts how often somebody met a deletion that was begun and not ended: then the job that finishes
/// deletions does not wait for its hour.
#[derive(Debug, Default)]
pub(crate) struct HalfDeleted {
    met: AtomicU64,
    /// Bounds the log lines: each DELETE may cause one while the disk or the database refuses.
    pub(crate) log: LogThrottle<()>,
}

impl HalfDeleted {
    /// There is one.
    pub(crate) fn note(&self) {
        self.met.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there was one since the caller last asked; `seen` is the caller's memory of that.
    pub(crate) fn is_new(&self, seen: &mut u64) -> bool {
        let count = self.met.load(Ordering::Relaxed);
        std::mem::replace(seen, count) != count
    }
}

/// The time of the next try.
#[derive(Debug)]
pub(crate) struct Due {
    next: Instant,
    /// Until the next try, when this one fails: doubled each time, up to the interval.
    wait: Duration,
    wait_first: Duration,
    interval: Duration,
}

impl Due {
    /// First at `next`, then every `interval`; `wait_first` after a first failure.
    pub(crate) fn at(next: Instant, wait_first: Duration, interval: Duration) -> Due {
        Due {
            next,
            wait: wait_first,
            wait_first,
            interval,
        }
    }

    pub(crate) fn is_now(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// The job was tried.
    pub(crate) fn done(&mut self, now: Instant, is_done: bool) {
        if is_done {
            self.next = now + self.interval;
            self.wait = self.wait_first;
        } else {
            self.next = now + self.wait;
            self.wait = self.interval.min(self.wait * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_soon_and_then_less_often() {
        let (first, hour) = (Duration::from_secs(5), Duration::from_secs(3600));
        let began = Instant::now();
        let mut due = Due::at(began, first, hour);
        let mut now = began;
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(due.is_now(now));
            due.done(now, false);
            waits.push((due.next - now).as_secs());
            now = due.next;
        }
        assert_eq!(waits[..4], [5, 10, 20, 40]);
        assert_eq!(waits[11], 3600);
        due.done(now, true);
        assert!(!due.is_now(now + first));
        now += hour;
        assert!(due.is_now(now));
        due.done(now, false);
        assert!(due.is_now(now + first));
    }
}
