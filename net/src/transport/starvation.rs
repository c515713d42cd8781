//! Whether the server that content comes from sends enough of it.

use std::time::{Duration, Instant};

/// Bytes for each second of waiting for a source, at the least.
const SOURCE_RATE_MIN: u64 = 1024;

/// Tells a source that sends too little: only the time in which it is waited for counts.
#[derive(Default)]
pub(crate) struct Starvation {
    since: Option<Instant>,
    waited: Duration,
    moved: u64,
}

impl Starvation {
    /// The source has sent nothing more yet.
    pub(crate) fn begin_wait(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The source has sent something, or is not waited for any more.
    pub(crate) fn end_wait(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Whether the source was waited for so long in vain that it is to be given up, though it may
    /// have sent a little just now.
    pub(crate) fn is_over(&self, patience: Duration) -> bool {
        self.waited >= patience
    }

    /// Takes note of bytes that the source sent, which may send too little for `patience`; the measure starts anew when they are enough.
    pub(crate) fn moved(&mut self, bytes: u64, patience: Duration) {
        self.moved += bytes;
        let bytes_min = u128::from(SOURCE_RATE_MIN) * patience.as_millis() / 1000;
        if u128::from(self.moved) >= bytes_min {
            *self = Starvation::default();
        }
    }

    /// Until when a source is waited for that may send too little for so long.
    pub(crate) fn until(&self, patience: Duration) -> Option<Instant> {
        Some(self.since? + patience.saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[test]
    fn single_bytes_do_not_prolong_the_wait() {
        let mut starvation = Starvation::default();
        starvation.begin_wait();
        let until = starvation.until(PATIENCE).unwrap();
        // A moment later a byte comes, and then none again.
        starvation.waited = Duration::from_millis(1900);
        starvation.end_wait();
        starvation.moved(1, PATIENCE);
        assert!(!starvation.is_over(PATIENCE));
        assert_eq!(starvation.until(PATIENCE), None);
        starvation.begin_wait();
        assert!(starvation.until(PATIENCE).unwrap() < until);
        // Nor does one that comes just before somebody looks at the time.
        starvation.since = Instant::now().checked_sub(PATIENCE);
        starvation.end_wait();
        starvation.moved(1, PATIENCE);
        assert!(starvation.is_over(PATIENCE));
    }

    #[test]
    fn the_least_rate_does() {
        let mut starvation = Starvation {
            waited: Duration::from_millis(1900),
            ..Starvation::default()
        };
        starvation.moved(2 * SOURCE_RATE_MIN, PATIENCE);
        assert_eq!((starvation.waited, starvation.moved), (Duration::ZERO, 0));
    }
}
