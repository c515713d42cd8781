//! A request that waits for another server.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::protocol::{Outgoing, Pending};
use super::wait::{Interest, ready};
use crate::metrics::IntGauge;

/// A question that is out, and until when its answer is waited for.
pub(crate) struct Waiting {
    pub(crate) pending: Box<dyn Pending<Outgoing>>,
    until: Instant,
    _counted: Counted,
}

/// One that waits, in the gauge of them.
struct Counted(IntGauge);

impl Waiting {
    pub(crate) fn new(pending: Box<dyn Pending<Outgoing>>, gauge: &IntGauge) -> Waiting {
        gauge.inc();
        Waiting {
            until: Instant::now() + pending.patience(),
            pending,
            _counted: Counted(gauge.clone()),
        }
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
        let has_come = |socket| ready(socket, Interest::Source, time.min(left));
        if self.socket().is_none_or(has_come) {
            return Some(false);
        }
        (Instant::now() >= self.until).then_some(true)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
