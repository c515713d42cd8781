//! Stops the threads of a daemon: a flag to check, and a channel that ends every wait at once. Any thread
//! may trip it; it never resets.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

/// A stop signal. Clones share it.
#[derive(Clone)]
pub struct Stop {
    shared: Arc<Shared>,
}

struct Shared {
    tripped: AtomicBool,
    /// Present until the trip; dropping it disconnects `channel`.
    sender: Mutex<Option<Sender<Infallible>>>,
    channel: Receiver<Infallible>,
}

impl Stop {
    /// A stop that has not been tripped.
    pub fn new() -> Stop {
        let (sender, channel) = crossbeam_channel::bounded(0);
        let shared = Shared {
            tripped: AtomicBool::new(false),
            sender: Mutex::new(Some(sender)),
            channel,
        };
        Stop {
            shared: Arc::new(shared),
        }
    }

    /// Ends every wait on this stop and its clones, now and later. Further trips do nothing.
    pub fn trip(&self) {
        self.shared.tripped.store(true, Ordering::Release);
        drop(self.shared.sender.lock().take());
    }

    /// True if it is tripped.
    pub fn is_tripped(&self) -> bool {
        self.shared.tripped.load(Ordering::Acquire)
    }

    /// Waits for the trip, at most for `limit`. True if it is tripped.
    pub fn wait(&self, limit: Duration) -> bool {
        match self.shared.channel.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => self.is_tripped(),
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }

    /// Waits for the trip without a limit.
    pub fn wait_forever(&self) {
        let Err(_) = self.shared.channel.recv();
    }

    /// A channel that never carries anything and disconnects on the trip: an arm of `select!`.
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.shared.channel
    }
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::new()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("tripped", &self.is_tripped())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_with_the_limit_or_the_trip() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        assert!(!stop.is_tripped());
        let clone = stop.clone();
        let waiter = std::thread::spawn(move || {
            clone.wait_forever();
            clone.wait(Duration::MAX)
        });
        stop.trip();
        stop.trip();
        assert!(waiter.join().unwrap());
        assert!(stop.wait(Duration::ZERO));
        assert!(stop.is_tripped());
    }

    #[test]
    fn the_channel_is_an_arm_of_select() {
        let stop = Stop::new();
        let (_jobs, work) = crossbeam_channel::bounded::<()>(1);
        stop.clone().trip();
        crossbeam_channel::select! {
            recv(stop.channel()) -> end => assert!(end.is_err()),
            recv(work) -> _ => panic!("there is no work"),
        }
    }
}
