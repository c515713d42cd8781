//! A request that waits for another server.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::observer::{NetLevel, Observer};
use super::protocol::{Outgoing, Pending};
use super::wait::{Interest, ready};

/// A question that is out, and until when its answer is waited for.
pub(crate) struct Waiting {
    pub(crate) pending: Box<dyn Pending<Outgoing>>,
    until: Instant,
    /// Absent for one that has asked no server yet.
    _counted: Option<Counted>,
}

/// How many requests of a server wait for other servers.
pub(crate) struct WaitingCount {
    count: AtomicUsize,
    observer: Arc<dyn Observer>,
}

/// One of them; dropping it counts it out.
struct Counted(Arc<WaitingCount>);

impl Waiting {
    pub(crate) fn new(pending: Box<dyn Pending<Outgoing>>, count: &Arc<WaitingCount>) -> Waiting {
        let asked = pending.socket().is_some();
        let time = if asked {
            pending.patience()
        } else {
            pending.pause()
        };
        Waiting {
            until: Instant::now() + time,
            pending,
            _counted: asked.then(|| Counted::new(count)),
        }
    }

    /// What the connection waits for, if there is anything to wait for.
    pub(crate) fn interest(&self) -> Option<Interest> {
        if self.socket().is_some() {
            return Some(Interest::Source);
        }
        (Instant::now() < self.until).then_some(Interest::Time)
    }

    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        self.pending.socket()
    }

    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Waits for up to `time`. Tells whether the server was silent; `None` when there is time left
    /// for it.
    pub(crate) fn outcome(&self, time: Duration) -> Option<bool> {
        let left = self.until.saturating_duration_since(Instant::now());
        let Some(socket) = self.socket() else {
            return left.is_zero().then_some(false);
        };
        if ready(socket, Interest::Source, time.min(left)) {
            return Some(false);
        }
        (Instant::now() >= self.until).then_some(true)
    }
}

impl WaitingCount {
    /// None waits.
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Arc<WaitingCount> {
        Arc::new(WaitingCount {
            count: AtomicUsize::new(0),
            observer,
        })
    }

    /// Those that wait now.
    pub(crate) fn now(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Counted {
    fn new(count: &Arc<WaitingCount>) -> Counted {
        count.count.fetch_add(1, Ordering::Relaxed);
        count.observer.changed(NetLevel::Waiting, 1);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.observer.changed(NetLevel::Waiting, -1);
    }
}
