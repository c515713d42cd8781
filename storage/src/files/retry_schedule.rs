//! When a periodic job is due; it is due sooner after a failure.

use std::time::{Duration, Instant};

/// The time of the next run.
#[derive(Debug)]
pub(crate) struct RetrySchedule {
    next: Instant,
    /// Wait after the next failure: doubled each time, up to the interval.
    wait: Duration,
    wait_first: Duration,
    interval: Duration,
}

impl RetrySchedule {
    /// Due at `next`, then every `interval`; `wait_first` after a first failure.
    pub(crate) fn new(next: Instant, wait_first: Duration, interval: Duration) -> RetrySchedule {
        RetrySchedule {
            next,
            wait: wait_first,
            wait_first,
            interval,
        }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Records the result of a run.
    pub(crate) fn record(&mut self, now: Instant, is_done: bool) {
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
        let mut schedule = RetrySchedule::new(began, first, hour);
        let mut now = began;
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(schedule.is_due(now));
            schedule.record(now, false);
            waits.push((schedule.next - now).as_secs());
            now = schedule.next;
        }
        assert_eq!(waits[..4], [5, 10, 20, 40]);
        assert_eq!(waits[11], 3600);
        schedule.record(now, true);
        assert!(!schedule.is_due(now + first));
        now += hour;
        assert!(schedule.is_due(now));
        schedule.record(now, false);
        assert!(schedule.is_due(now + first));
    }
}
