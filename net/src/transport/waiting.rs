//! A request that waits for another server.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::observer::{NetGauge, Observer};
use super::outgoing::Outgoing;
use super::protocol::Pending;
use super::wait::{Interest, ready};

/// A request to another server and the deadline of its answer.
pub(crate) struct Waiting {
    pub(crate) pending: Box<dyn Pending<Outgoing>>,
    until: Instant,
    /// Absent while no server is asked.
    _counted: Option<Counted>,
}

/// Number of requests that wait for other servers.
pub(crate) struct WaitingCount {
    count: AtomicUsize,
    observer: Arc<dyn Observer>,
}

/// One request of the [`WaitingCount`] until it is dropped.
struct Counted(Arc<WaitingCount>);

impl Waiting {
    pub(crate) fn new(pending: Box<dyn Pending<Outgoing>>, count: &Arc<WaitingCount>) -> Waiting {
        let asked = pending.socket().is_some();
        let time = if asked {
            pending.timeout()
        } else {
            pending.pause()
        };
        Waiting {
            until: Instant::now() + time,
            pending,
            _counted: asked.then(|| Counted::new(count)),
        }
    }

    /// The event to wait for; `None` when the request can be resumed now.
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

    /// Waits for up to `time`. True if the server has timed out, false if it has answered, `None` if
    /// neither has happened.
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
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Arc<WaitingCount> {
        Arc::new(WaitingCount {
            count: AtomicUsize::new(0),
            observer,
        })
    }

    pub(crate) fn now(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Counted {
    fn new(count: &Arc<WaitingCount>) -> Counted {
        count.count.fetch_add(1, Ordering::Relaxed);
        count.observer.changed(NetGauge::Waiting, 1);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.observer.changed(NetGauge::Waiting, -1);
    }
}
