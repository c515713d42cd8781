//! Admits connections and requests below the limits, and evicts connections at a limit.

use std::net::SocketAddr;

use log::{debug, warn};

use super::connection::Connection;
use super::connection_limit::{Client, Permit};
use super::evict::Victim;
use super::full::Full;
use super::observer::NetEvent;
use super::parking::Parked;
use super::protocol::Protocol;
use super::shared::Shared;

/// A transfer below this rate, in bytes per second, may be evicted for another connection of its client.
const SLOW_RATE: u64 = 16 << 10;
/// A client with more than one in this many connections of a full server loses its slowest transfer to
/// another client.
const LARGE_SHARE: usize = 4;
/// Attempts to admit a connection: another thread may take the permit that an eviction released.
const TRIES: usize = 4;
/// Most evicted connections that wait for a worker to close them.
const LEAVING_MAX: usize = 64;

impl<P: Protocol> Shared<P> {
    /// Takes the descriptors of a request, and evicts idle connections for them.
    pub(crate) fn may_open(&self, connection: &mut Connection<P>) -> bool {
        if connection.permit.hold(P::DESCRIPTORS) {
            return true;
        }
        for _ in 0..TRIES {
            if !self.evict_idle(None) {
                // A transfer gives its descriptors back later: that helps the requests after this one.
                self.make_room(None);
                break;
            }
            if connection.permit.hold(P::DESCRIPTORS) {
                return true;
            }
        }
        self.observer().event(NetEvent::Refused(Full::Server));
        if let Some(more) = self.scarce.due(()) {
            warn!(
                "{}: busy, no file descriptor is left for a request{more}",
                connection.peer
            );
        }
        false
    }

    /// Admits a connection; at a limit another connection may be evicted for it.
    ///
    /// # Errors
    /// The limit at which no other connection could be evicted.
    pub(crate) fn enter(&self, peer: SocketAddr) -> Result<Permit, Full> {
        let client = Client::of(peer);
        let is_proxy = self.protocol.is_proxy(peer.ip());
        for _ in 0..TRIES {
            match self.limit.enter(client, is_proxy) {
                Ok(permit) => return Ok(permit),
                Err(Full::Client) if self.make_room_of(client) => {}
                Err(Full::Server) if self.make_room(Some(client)) => {}
                Err(full) => return Err(full),
            }
        }
        Err(Full::Server)
    }

    /// Evicts an idle or slow connection of the client.
    fn make_room_of(&self, client: Client) -> bool {
        self.evict_idle(Some(client)) || self.break_off(client, SLOW_RATE)
    }

    /// Evicts a connection for one of `newcomer`, or for descriptors: that of a stranger, an idle one of the client
    /// with the most connections, a transfer of that client if it has a large share, or any idle one.
    pub(crate) fn make_room(&self, newcomer: Option<Client>) -> bool {
        let Some((count, largest)) = self.limit.largest() else {
            return false;
        };
        let is_large = count.saturating_mul(LARGE_SHARE) > self.limit.connections_max();
        if self.evict(Victim::Stranger) {
            return true;
        }
        if self.evictor.has_found(Victim::Stranger) {
            // A flood of strangers must not evict known connections between two searches.
            return false;
        }
        self.evict_idle(Some(largest))
            || (is_large && newcomer != Some(largest) && self.break_off(largest, u64::MAX))
            || self.evict_idle(None)
    }

    /// Closes the connection of a client, or of any, that has been idle for longest; false if none is
    /// idle.
    fn evict_idle(&self, of: Option<Client>) -> bool {
        self.evict(Victim::Idle(of))
    }

    /// Closes the best victim of this kind, which no worker has to close; false if there is none.
    fn evict(&self, victim: Victim) -> bool {
        let evicted = self.evictor.take(victim, &self.parking);
        if let Some(parked) = &evicted {
            self.observer().event(NetEvent::Evicted);
            debug!("#{}: closed for another connection", parked.connection.id);
        }
        evicted.is_some()
    }

    /// Closes the slowest transfer of a client that moves less than `below`. A worker does that: closing
    /// a file may block. False if there is none.
    fn break_off(&self, client: Client, below: u64) -> bool {
        if self.limit.leaving() >= LEAVING_MAX {
            return false;
        }
        let evicted = self
            .evictor
            .take(Victim::Slow(client, below), &self.parking);
        let Some(mut connection) = evicted.map(Parked::take) else {
            return false;
        };
        self.observer().event(NetEvent::Evicted);
        debug!("#{}: broken off, the slowest of its client", connection.id);
        connection.permit.leave();
        connection.ended = true;
        self.hand_over(connection);
        true
    }
}
