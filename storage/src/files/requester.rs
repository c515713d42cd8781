//! Whether the client of a change still waits for the reply. A client that has left may have
//! stored or deleted the file through another storage: a late change would bring back a deleted
//! file, or delete a new one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::PeerProbe;
use net::peer_host::one_host;
use proto::{ErrorCode, Fault};

use crate::clock::boot_time;
use crate::db::StillWanted;
use crate::state::arrival_clock::ArrivalClock;

/// A client waits this long for a reply by default (`io_timeout` of its configuration). A client
/// cut off by the network closes nothing.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The client of one request.
#[derive(Debug, Clone)]
pub(crate) struct Requester {
    probe: PeerProbe,
    address: IpAddr,
    /// Dates the parts of the request.
    arrivals: Arc<ArrivalClock>,
    /// When the client sent the latest part of the request, by [`boot_time`].
    last_heard: Duration,
}

impl Requester {
    /// The client of a new request.
    pub(crate) fn new(
        probe: PeerProbe,
        address: IpAddr,
        arrivals: &Arc<ArrivalClock>,
    ) -> Requester {
        Requester {
            probe,
            address: one_host(address),
            arrivals: Arc::clone(arrivals),
            last_heard: arrivals.arrival(boot_time()),
        }
    }

    /// The address of its host, see [`one_host`].
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Notes that a part of the request has arrived.
    pub(crate) fn touch(&mut self) {
        self.last_heard = self.arrivals.arrival(boot_time());
    }

    /// A check for the database: does the client wait? A client that closed its sending side
    /// counts as gone. The kernel does not distinguish that from a closed connection, and no known
    /// client does it before the reply.
    pub(crate) fn into_check(self) -> StillWanted {
        Arc::new(move || self.waits(boot_time()))
    }

    fn waits(&self, now: Duration) -> bool {
        now.saturating_sub(self.last_heard) < CLIENT_TIMEOUT && self.probe.is_connected()
    }
}

/// The fault for a client that may be gone.
pub(crate) fn client_left() -> Fault {
    let text = "the client has left or the request is too old, nothing was changed";
    Fault::new(ErrorCode::Unavailable, text)
}

#[cfg(test)]
mod tests;
