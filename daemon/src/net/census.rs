//! Counts open connections, so that there is a cap on them and a stop can wait for the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::metrics::IntGauge;

pub(crate) struct Census {
    open: Mutex<Count>,
    /// Most connections at a time.
    max: AtomicUsize,
    changed: Condvar,
    /// Shows the number to others.
    gauge: IntGauge,
}

#[derive(Default)]
struct Count {
    now: usize,
    most: usize,
}

/// How many connections a server has; outlives it.
#[derive(Clone)]
pub struct Connections(pub(crate) Arc<Census>);

impl Connections {
    /// Those that are open now.
    pub fn now(&self) -> usize {
        self.0.open()
    }

    /// The most that were open at a time.
    pub fn most(&self) -> usize {
        self.0.open.lock().most
    }

    /// The most that there may be.
    pub fn max(&self) -> usize {
        self.0.max.load(Ordering::Relaxed)
    }
}

/// One open connection; dropping it counts it out.
pub(crate) struct Slot(Arc<Census>);

impl Census {
    /// Lets nobody in until it is told how many it may.
    pub(crate) fn new(gauge: IntGauge) -> Census {
        Census {
            open: Mutex::default(),
            max: AtomicUsize::new(0),
            changed: Condvar::new(),
            gauge,
        }
    }

    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Counts a connection in, unless there are as many as may be.
    pub(crate) fn enter(self: &Arc<Census>) -> Option<Slot> {
        let mut open = self.open.lock();
        if open.now >= self.max.load(Ordering::Relaxed) {
            return None;
        }
        open.now += 1;
        open.most = open.most.max(open.now);
        self.gauge.inc();
        Some(Slot(Arc::clone(self)))
    }

    /// Waits until no connection is open; false when some still are at the deadline.
    pub(crate) fn wait_empty(&self, deadline: Instant) -> bool {
        let mut open = self.open.lock();
        while open.now > 0 {
            if self.changed.wait_until(&mut open, deadline).timed_out() {
                return open.now == 0;
            }
        }
        true
    }

    pub(crate) fn open(&self) -> usize {
        self.open.lock().now
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.lock().now -= 1;
        self.0.gauge.dec();
        self.0.changed.notify_all();
    }
}
