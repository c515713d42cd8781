//! Lets connections and their requests in as far as there is room, and makes room for them.

use std::net::SocketAddr;

use log::{debug, warn};

use super::connection::Connection;
use super::evict::Victim;
use super::limit::{Client, Full, Permit};
use super::observer::NetEvent;
use super::park::Parked;
use super::protocol::Protocol;
use super::shared::Shared;

/// A transfer that moves less, in bytes a second, makes room for another connection of its client.
const SLOW_RATE: u64 = 16 << 10;
/// A client with more than one of so many connections of a full server loses its slowest transfer to
/// other clients.
const LARGE_SHARE: usize = 4;
/// Other threads may take the room that was made.
const TRIES: usize = 4;
/// Most connections that wait for a worker to close them, and whose room is used already.
const LEAVING_MAX: usize = 64;

impl<P: Protocol> Shared<P> {
    /// Takes the descriptors that a request may need, if need be from a connection that is idle.
    pub(crate) fn may_open(&self, connection: &mut Connection<P>) -> bool {
        if connection.permit.hold(P::DESCRIPTORS) {
            return true;
        }
        while self.make_room(None) {
            if connection.permit.hold(P::DESCRIPTORS) {
                return true;
            }
        }
        self.observer().event(NetEvent::Refused);
        if let Some(more) = self.scarce.due(()) {
            warn!(
                "{}: busy, no file descriptor is left for a request{more}",
                connection.peer
            );
        }
        false
    }

    /// Counts a connection in; at a limit another one may have to make room.
    pub(crate) fn enter(&self, peer: SocketAddr) -> Option<Permit> {
        let client = Client::of(peer);
        let stands_for_many = self.protocol.stands_for_many(peer.ip());
        for _ in 0..TRIES {
            match self.limit.enter(client, stands_for_many) {
                Ok(permit) => return Some(permit),
                Err(Full::Client) if self.make_room_of(client) => {}
                Err(Full::Server) if self.make_room(Some(client)) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Closes a connection of the client, unless all of them move.
    fn make_room_of(&self, client: Client) -> bool {
        self.evict_idle(Some(client)) || self.break_off(client, SLOW_RATE)
    }

    /// Closes a connection for one of `newcomer`, or for want of descriptors: one that is idle, first
    /// of the client that has most; or a transfer of that client if it has a large part of them all.
    pub(crate) fn make_room(&self, newcomer: Option<Client>) -> bool {
        let Some((count, largest)) = self.limit.largest() else {
            return false;
        };
        let is_large = count.saturating_mul(LARGE_SHARE) > self.limit.connections_max();
        self.evict_idle(Some(largest))
            || (is_large && newcomer != Some(largest) && self.break_off(largest, u64::MAX))
            || self.evict_idle(None)
    }

    /// Closes the connection, of a client or of any, that has been idle for longest; false when none
    /// is.
    fn evict_idle(&self, of: Option<Client>) -> bool {
        let evicted = self.evictor.take(Victim::Idle(of), &self.parking);
        if let Some(parked) = &evicted {
            self.observer().event(NetEvent::Evicted);
            debug!("#{}: closed, idle longest", parked.connection.id);
        }
        evicted.is_some()
    }

    /// Ends the slowest transfer of a client that moves less than `below`. A worker closes it: it may
    /// hold a file. False when there is none.
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
