//! Counts open connections, so that there is a cap on them and a stop can wait for the last one.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
pub(crate) struct Census {
    open: Mutex<usize>,
    changed: Condvar,
}

/// One open connection; dropping it counts it out.
pub(crate) struct Slot(Arc<Census>);

impl Census {
    /// Counts a connection in, unless there are `max` already.
    pub(crate) fn enter(self: &Arc<Census>, max: usize) -> Option<Slot> {
        let mut open = self.open.lock();
        if *open >= max {
            return None;
        }
        *open += 1;
        Some(Slot(Arc::clone(self)))
    }

    /// Waits until no connection is open; false when some still are at the deadline.
    pub(crate) fn wait_empty(&self, deadline: Instant) -> bool {
        let mut open = self.open.lock();
        while *open > 0 {
            if self.changed.wait_until(&mut open, deadline).timed_out() {
                return *open == 0;
            }
        }
        true
    }

    pub(crate) fn open(&self) -> usize {
        *self.open.lock()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.open.lock() -= 1;
        self.0.changed.notify_all();
    }
}
