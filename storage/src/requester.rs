//! Whether the client behind a change still waits for it. One that has left tries another storage,
//! and may delete there what it has stored there: a change made for it afterwards would bring a
//! deleted file back, or delete one that was stored since.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::PeerProbe;
use net::peer_host::one_host;
use proto::{ErrorCode, Fault};

use crate::clock::boot_time;
use crate::db::StillWanted;

/// A client that has sent its request waits for this long, unless it is told otherwise
/// (`io_timeout` of its configuration). One that is cut off by the network closes nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The client of one request.
#[derive(Debug, Clone)]
pub(crate) struct Requester {
    probe: PeerProbe,
    address: IpAddr,
    /// When the client last sent a part of the request, by [`boot_time`].
    heard: Duration,
}

impl Requester {
    /// The client of a request that has just come.
    pub(crate) fn new(probe: PeerProbe, address: IpAddr) -> Requester {
        Requester {
            probe,
            address: one_host(address),
            heard: boot_time(),
        }
    }

    /// The address of its host, see [`one_host`].
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// More of the request has come.
    pub(crate) fn hear(&mut self) {
        self.heard = boot_time();
    }

    /// Asks whether the client waits. A client that has closed its sending side counts as gone: the
    /// kernel does not tell that from a closed connection, and neither our clients nor those of the
    /// C++ system do it before they have the reply.
    pub(crate) fn into_question(self) -> StillWanted {
        Arc::new(move || self.waits(boot_time()))
    }

    fn waits(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) < PATIENCE && self.probe.is_connected()
    }
}

/// What a client is told that may be gone.
pub(crate) fn not_wanted() -> Fault {
    let text = "the client has left or the request is too old, nothing was changed";
    Fault::new(ErrorCode::Unavailable, text)
}

#[cfg(test)]
mod tests;
