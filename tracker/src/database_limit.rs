//! Limits the workers that wait for the database. While it stalls, the others serve users whose group is in
//! the cache.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A database that answers no request for this time has stalled: then no request waits for a permit. While
/// it answers, every request gets one in the end.
const STALL_MAX: Duration = Duration::from_secs(2);

pub(crate) struct DatabaseLimit {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: u32,
    /// Time of the latest acquisition or release.
    latest_move: Instant,
}

/// The right to use the database; ends when dropped.
pub(crate) struct Permit<'a>(&'a DatabaseLimit);

impl DatabaseLimit {
    /// Allows `n_permits` at a time, and at least one.
    pub(crate) fn new(n_permits: u32) -> DatabaseLimit {
        let state = State {
            free: n_permits.max(1),
            latest_move: Instant::now(),
        };
        DatabaseLimit {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Waits for a permit. None while the database stalls.
    pub(crate) fn acquire(&self) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        while state.free == 0 {
            let deadline = state.latest_move + STALL_MAX;
            if Instant::now() >= deadline {
                return None;
            }
            self.changed.wait_until(&mut state, deadline);
        }
        state.free -= 1;
        state.latest_move = Instant::now();
        Some(Permit(self))
    }
}

#[cfg(test)]
impl DatabaseLimit {
    /// Makes the latest move older, so that the database counts as stalled.
    pub(crate) fn stall(&self) {
        self.state.lock().latest_move -= STALL_MAX;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.free += 1;
        state.latest_move = Instant::now();
        drop(state);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn everybody_gets_in_while_it_moves_and_never_too_many() {
        let (database_limit, inside) = (DatabaseLimit::new(2), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let permit = database_limit.acquire().unwrap();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(database_limit.state.lock().free, 2);
    }

    #[test]
    fn nobody_waits_where_nothing_moves() {
        let database_limit = DatabaseLimit::new(0);
        let permit = database_limit.acquire().unwrap();
        database_limit.stall();
        assert!(database_limit.acquire().is_none());
        drop(permit);
        assert!(database_limit.acquire().is_some());
    }

    #[test]
    fn who_waits_is_let_in_when_one_comes_out() {
        let database_limit = DatabaseLimit::new(1);
        let permit = database_limit.acquire().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| database_limit.acquire().is_some());
            drop(permit);
            assert!(waiter.join().unwrap());
        });
    }
}
