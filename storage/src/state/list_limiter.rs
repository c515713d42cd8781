//! Limits the lists that are made at a time: they must not take the connections to the database and the
//! workers from uploads and downloads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use proto::{ErrorCode, Fault};

/// Lists that read the database at a time.
const RUNNING_MAX: usize = 2;
/// Longest wait for a permit. A client gives a storage two seconds while it has another one to ask.
const WAIT_MAX: Duration = Duration::from_millis(1500);

pub(crate) struct ListLimiter {
    permits: (Sender<()>, Receiver<()>),
    n_inside: AtomicUsize,
    inside_max: usize,
}

/// The right to read a part of a list; ends when dropped.
pub(crate) struct ListPermit<'a> {
    limiter: &'a ListLimiter,
    is_running: bool,
}

impl ListLimiter {
    /// An eighth of the workers, and at least one, run lists or wait for a permit.
    pub(crate) fn new(workers: usize) -> ListLimiter {
        let permits = bounded(RUNNING_MAX);
        for _ in 0..RUNNING_MAX {
            permits.0.try_send(()).expect("the channel has room");
        }
        ListLimiter {
            permits,
            n_inside: AtomicUsize::new(0),
            inside_max: (workers / 8).max(1),
        }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// Busy: too many lists wait, or the database is slow.
    pub(crate) fn acquire(&self) -> Result<ListPermit<'_>, Fault> {
        let n_before = self.n_inside.fetch_add(1, Ordering::Relaxed);
        // Its drop takes it out again.
        let mut permit = ListPermit {
            limiter: self,
            is_running: false,
        };
        permit.is_running =
            n_before < self.inside_max && self.permits.1.recv_timeout(WAIT_MAX).is_ok();
        if permit.is_running {
            return Ok(permit);
        }
        let text = "this storage makes as many lists as it may at once, try again later";
        Err(Fault::new(ErrorCode::Busy, text))
    }
}

impl Drop for ListPermit<'_> {
    fn drop(&mut self) {
        self.limiter.n_inside.fetch_sub(1, Ordering::Relaxed);
        if self.is_running {
            let returned = self.limiter.permits.0.try_send(());
            returned.expect("each permit was taken from the channel");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lists_run_some_wait_and_the_rest_is_refused() {
        let limiter = ListLimiter::new(24);
        let running = [limiter.acquire().unwrap(), limiter.acquire().unwrap()];
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| limiter.acquire().is_ok());
            test_support::until("the third waits", || {
                limiter.n_inside.load(Ordering::Relaxed) == 3
            });
            let refused = limiter.acquire().map(|_| ()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Busy);
            drop(running);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(limiter.n_inside.load(Ordering::Relaxed), 0);
    }
}
