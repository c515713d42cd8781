//! Detects a peer, or the source of a reply, that moves too few bytes.

use std::time::{Duration, Instant};

/// Measures one side of a transfer. Only time spent waiting for it counts, not that of a slow disk.
#[derive(Debug, Default)]
pub(crate) struct StallDetector {
    /// Start of the running wait.
    since: Option<Instant>,
    waited: Duration,
    moved: u64,
}

impl StallDetector {
    /// Starts the clock: the other side is not ready.
    pub(crate) fn begin_wait(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Stops the clock.
    pub(crate) fn end_wait(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Adds a wait that has ended.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// Counts moved bytes. Starts a new measurement when they reach `rate_min`, in bytes per second, over
    /// `timeout`.
    pub(crate) fn moved(&mut self, bytes: u64, rate_min: u64, timeout: Duration) {
        self.moved += bytes;
        let bytes_min = u128::from(rate_min) * timeout.as_millis() / 1000;
        if u128::from(self.moved) >= bytes_min.max(1) {
            *self = StallDetector::default();
        }
    }

    /// True if the other side has been waited for longer than `timeout`, even if it moved a few bytes
    /// just now.
    pub(crate) fn is_over(&self, timeout: Duration) -> bool {
        self.waited >= timeout
    }

    /// Deadline of the running wait, if there is one.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        Some(self.since? + self.time_left(timeout))
    }

    /// Time that the other side has left.
    pub(crate) fn time_left(&self, timeout: Duration) -> Duration {
        timeout.saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);
    const RATE_MIN: u64 = 1024;

    #[test]
    fn single_bytes_do_not_prolong_the_wait() {
        let mut stall = StallDetector::default();
        stall.begin_wait();
        let deadline = stall.deadline(TIMEOUT).unwrap();
        // A moment later a byte comes, and then none again.
        stall.waited = Duration::from_millis(1900);
        stall.end_wait();
        stall.moved(1, RATE_MIN, TIMEOUT);
        assert!(!stall.is_over(TIMEOUT));
        assert_eq!(stall.deadline(TIMEOUT), None);
        stall.begin_wait();
        assert!(stall.deadline(TIMEOUT).unwrap() < deadline);
        // Nor does one that comes just before somebody looks at the time.
        stall.since = Instant::now().checked_sub(TIMEOUT);
        stall.end_wait();
        stall.moved(1, RATE_MIN, TIMEOUT);
        assert!(stall.is_over(TIMEOUT));
    }

    #[test]
    fn the_least_rate_does() {
        let mut stall = StallDetector::default();
        stall.waited(Duration::from_millis(1900));
        stall.moved(2 * RATE_MIN, RATE_MIN, TIMEOUT);
        assert_eq!((stall.waited, stall.moved), (Duration::ZERO, 0));
    }
}
