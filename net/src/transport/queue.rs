//! The queue of a pool of workers. The event loop answers entries that wait too long.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A first-in, first-out queue. It needs no bound of its own: each entry is a connection, and their
/// number is limited.
///
/// A crossbeam channel in its place costs 4 to 6 % of the rate of small downloads, ranges and seeks, and doubles
/// the 99th percentile of ranges (docs/performance.md, Hand-over to workers).
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Signals an entry or a halt.
    ready: Condvar,
    /// The number of entries, readable without the lock.
    len: AtomicUsize,
}

struct State<T> {
    entries: VecDeque<Entry<T>>,
    /// Workers that are to end.
    halts: usize,
    /// Workers that wait for an entry.
    idle: usize,
    /// Latest time that a worker took an entry, or that the queue became non-empty.
    moved: Instant,
    /// An entry has expired and no worker has taken one since.
    has_expired: bool,
}

struct Entry<T> {
    item: T,
    since: Instant,
    /// No work is done for it yet: it can be refused.
    is_new: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Queue<T> {
        Queue {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                halts: 0,
                idle: 0,
                moved: Instant::now(),
                has_expired: false,
            }),
            ready: Condvar::new(),
            len: AtomicUsize::new(0),
        }
    }

    /// Appends an entry and wakes a worker. Only an entry that `is_new` can expire.
    pub(crate) fn push(&self, item: T, is_new: bool) {
        let since = Instant::now();
        let mut state = self.state.lock();
        if state.entries.is_empty() && !state.has_expired {
            state.moved = since;
        }
        state.entries.push_back(Entry {
            item,
            since,
            is_new,
        });
        self.len.store(state.entries.len(), Ordering::Relaxed);
        drop(state);
        self.ready.notify_one();
    }

    /// Waits for the next entry; `None` ends the worker.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        state.idle += 1;
        let item = loop {
            if let Some(entry) = state.entries.pop_front() {
                self.len.store(state.entries.len(), Ordering::Relaxed);
                break Some(entry.item);
            }
            if state.halts > 0 {
                state.halts -= 1;
                break None;
            }
            self.ready.wait(&mut state);
        };
        state.idle -= 1;
        state.moved = Instant::now();
        state.has_expired = false;
        item
    }

    /// Ends `count` workers once the queue is empty.
    pub(crate) fn halt(&self, count: u32) {
        self.state.lock().halts += count as usize;
        self.ready.notify_all();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    /// Takes out new entries that have waited for `limit`.
    pub(crate) fn expire(&self, limit: Duration) -> Vec<T> {
        if self.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut state = self.state.lock();
        // Entries are in the order of their times.
        let late = |entry: &Entry<T>| now.saturating_duration_since(entry.since) >= limit;
        let end = state.entries.partition_point(late);
        let (expired, kept) = state
            .entries
            .drain(..end)
            .partition::<Vec<_>, _>(|entry| entry.is_new);
        for entry in kept.into_iter().rev() {
            state.entries.push_front(entry);
        }
        state.has_expired |= !expired.is_empty();
        self.len.store(state.entries.len(), Ordering::Relaxed);
        expired.into_iter().map(|entry| entry.item).collect()
    }

    /// True if entries wait or have expired and no worker has taken one for `limit`.
    pub(crate) fn is_stuck(&self, limit: Duration) -> bool {
        let state = self.state.lock();
        let is_wanted = state.has_expired || !state.entries.is_empty();
        is_wanted && state.idle == 0 && state.moved.elapsed() >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has passed for every entry.
    const NOW: Duration = Duration::ZERO;
    const LATER: Duration = Duration::from_secs(3600);

    #[test]
    fn entries_come_in_their_order_and_halts_after_them() {
        let queue = Queue::new();
        queue.halt(1);
        for n in 0..3 {
            queue.push(n, true);
        }
        assert!(!queue.is_empty());
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken, [0, 1, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn only_new_entries_expire_and_the_others_keep_their_order() {
        let queue = Queue::new();
        for n in 0..6 {
            queue.push(n, n % 2 == 0);
        }
        assert!(queue.expire(LATER).is_empty());
        assert_eq!(queue.expire(NOW), [0, 2, 4]);
        assert!(queue.expire(NOW).is_empty());
        queue.halt(1);
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken, [1, 3, 5]);
    }

    #[test]
    fn a_queue_is_stuck_while_no_worker_comes_for_what_waits() {
        let queue = Queue::new();
        assert!(!queue.is_stuck(NOW), "nothing waits");
        queue.push(1, true);
        assert!(queue.is_stuck(NOW));
        assert!(!queue.is_stuck(LATER));
        assert_eq!(queue.expire(NOW), [1]);
        assert!(queue.is_stuck(NOW), "it was refused, and no worker came");
        queue.push(2, true);
        assert_eq!(queue.pop(), Some(2));
        assert!(!queue.is_stuck(NOW));
    }

    #[test]
    fn an_idle_worker_takes_what_comes() {
        let queue = Queue::<u8>::new();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| queue.pop());
            queue.push(7, true);
            assert_eq!(worker.join().unwrap(), Some(7));
            let worker = scope.spawn(|| queue.pop());
            queue.halt(1);
            assert_eq!(worker.join().unwrap(), None);
        });
    }
}
