//! How long requests wait for numbers: a slow database must not hold all workers, so that the others
//! hand out the numbers in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Refills that run at a time; others are queued behind them.
pub(crate) const REFILLS_MAX: usize = 8;
/// A refill that takes longer makes the database slow: then few requests wait on.
pub(crate) const SLOW_FROM: Duration = Duration::from_millis(200);
/// Longest time that a request waits for numbers.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(3);

/// Limits the requests that wait while the database is slow.
pub(crate) struct WaitLimit {
    waiting_max: u32,
    n_waiting: AtomicU32,
    /// Start times of the refills that are queued or running, oldest first.
    refills: Mutex<BTreeMap<u64, Instant>>,
}

impl WaitLimit {
    /// Half of the `workers` may wait for a slow database, and at least one.
    pub(crate) fn new(workers: u32) -> WaitLimit {
        WaitLimit {
            waiting_max: (workers / 2).max(1),
            n_waiting: AtomicU32::new(0),
            refills: Mutex::default(),
        }
    }

    /// Calls `wait` with a function that tells, from the start of the refill that is waited for, until when
    /// to wait. A request that comes while fewer than the limit wait has [`WAIT_MAX`], others until the database
    /// is slow.
    pub(crate) fn run<T>(&self, wait: impl FnOnce(&dyn Fn(Instant) -> Instant) -> T) -> T {
        let deadline = Instant::now() + WAIT_MAX;
        let may_stay = self.n_waiting.fetch_add(1, Ordering::Relaxed) < self.waiting_max;
        let waited = wait(&|since| {
            if may_stay {
                deadline
            } else {
                self.slow_from(since).min(deadline)
            }
        });
        self.n_waiting.fetch_sub(1, Ordering::Relaxed);
        waited
    }

    /// Records a refill, until [`WaitLimit::refill_ends`] gets the number that this returns.
    pub(crate) fn refill_starts(&self) -> u64 {
        let mut refills = self.refills.lock();
        let number = refills.last_key_value().map_or(0, |(n, _)| n + 1);
        refills.insert(number, Instant::now());
        number
    }

    pub(crate) fn refill_ends(&self, number: u64) {
        self.refills.lock().remove(&number);
    }

    /// From when on the database is slow for a refill that started at `since`, or was queued behind others.
    fn slow_from(&self, since: Instant) -> Instant {
        let refills = self.refills.lock();
        let is_queued = refills.len() >= REFILLS_MAX;
        let oldest = refills.values().next().copied();
        oldest.filter(|_| is_queued).unwrap_or(since) + SLOW_FROM
    }
}

#[cfg(test)]
impl WaitLimit {
    pub(crate) fn n_waiting(&self) -> u32 {
        self.n_waiting.load(Ordering::Relaxed)
    }

    /// Makes all refills older, so that the database counts as slow.
    pub(crate) fn age(&self, by: Duration) {
        let mut refills = self.refills.lock();
        refills.values_mut().for_each(|since| *since -= by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_workers_wait_for_a_slow_database() {
        for (workers, waiting_max) in [(1, 1), (8, 4)] {
            let limit = WaitLimit::new(workers);
            assert_eq!(n_staying(&limit), waiting_max);
            assert_eq!(limit.n_waiting(), 0);
        }
    }

    /// How many requests wait for an old refill, each within the wait of the one before.
    fn n_staying(limit: &WaitLimit) -> u32 {
        limit.run(|until| {
            let stays = until(Instant::now() - WAIT_MAX) > Instant::now();
            if stays { 1 + n_staying(limit) } else { 0 }
        })
    }

    #[test]
    fn a_refill_is_slow_by_itself_or_by_those_in_front_of_it() {
        let limit = WaitLimit::new(1);
        let is_slow = || {
            let now = Instant::now();
            limit.slow_from(now) <= now
        };
        let old = [(); REFILLS_MAX - 1].map(|()| limit.refill_starts());
        limit.age(WAIT_MAX);
        assert!(!is_slow());
        let number = limit.refill_starts();
        assert!(is_slow());
        limit.refill_ends(old[0]);
        assert!(!is_slow());
        limit.refill_ends(number);
    }
}
