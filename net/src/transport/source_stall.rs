//! Detects a source that sends too little.

use std::time::{Duration, Instant};

/// Lowest rate of a source, in bytes per second of waiting for it.
const SOURCE_RATE_MIN: u64 = 1024;

/// Measures one source. Only time spent waiting for it counts.
#[derive(Default)]
pub(crate) struct SourceStall {
    since: Option<Instant>,
    waited: Duration,
    moved: u64,
}

impl SourceStall {
    /// Starts the clock: the source has no bytes.
    pub(crate) fn begin_wait(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Stops the clock.
    pub(crate) fn end_wait(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// True if the source has been waited for longer than `timeout`, even if it sent a little just now.
    pub(crate) fn is_over(&self, timeout: Duration) -> bool {
        self.waited >= timeout
    }

    /// Counts bytes of the source. Starts a new measurement when they reach the lowest rate over
    /// `timeout`.
    pub(crate) fn moved(&mut self, bytes: u64, timeout: Duration) {
        self.moved += bytes;
        let bytes_min = u128::from(SOURCE_RATE_MIN) * timeout.as_millis() / 1000;
        if u128::from(self.moved) >= bytes_min {
            *self = SourceStall::default();
        }
    }

    /// Deadline of the running wait, if there is one.
    pub(crate) fn until(&self, timeout: Duration) -> Option<Instant> {
        Some(self.since? + timeout.saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[test]
    fn single_bytes_do_not_prolong_the_wait() {
        let mut stall = SourceStall::default();
        stall.begin_wait();
        let until = stall.until(PATIENCE).unwrap();
        // A moment later a byte comes, and then none again.
        stall.waited = Duration::from_millis(1900);
        stall.end_wait();
        stall.moved(1, PATIENCE);
        assert!(!stall.is_over(PATIENCE));
        assert_eq!(stall.until(PATIENCE), None);
        stall.begin_wait();
        assert!(stall.until(PATIENCE).unwrap() < until);
        // Nor does one that comes just before somebody looks at the time.
        stall.since = Instant::now().checked_sub(PATIENCE);
        stall.end_wait();
        stall.moved(1, PATIENCE);
        assert!(stall.is_over(PATIENCE));
    }

    #[test]
    fn the_least_rate_does() {
        let mut stall = SourceStall {
            waited: Duration::from_millis(1900),
            ..SourceStall::default()
        };
        stall.moved(2 * SOURCE_RATE_MIN, PATIENCE);
        assert_eq!((stall.waited, stall.moved), (Duration::ZERO, 0));
    }
}
