//! One request and the head of its reply, on a connection of a pool or on a fresh one.

use super::PoolManager;
use crate::lacking::Way;
use crate::turns::Peer;
use crate::wait::Limit;
use crate::{Connection, Error};

/// What became of one request up to the head of its reply.
pub(crate) struct Exchange {
    /// The connection and the length of the body that is to be read from it.
    pub(crate) result: Result<(Connection, u64), Error>,
    /// Whether the request went out twice, so that the peer may have carried it out twice.
    pub(crate) repeated: bool,
}

impl PoolManager {
    /// As [`PoolManager::exchange`], on a new connection if need be.
    pub(crate) fn exchange_by(
        &self,
        way: Way,
        peer: Peer<'_>,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), Error> {
        match way {
            Way::Any => self.exchange(peer, request, reply_command).result,
            Way::Fresh => self.exchange_fresh(peer, request, reply_command),
        }
    }

    fn exchange_fresh(
        &self,
        peer: Peer<'_>,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), Error> {
        let connection = self.connect_within(peer)?;
        self.exchange_on(connection, peer.limit, request, reply_command)
            .map_err(|(error, _)| error)
    }

    /// Sends a request and reads the head of its reply, on a fresh connection if a reused one
    /// turns out to be closed.
    pub(crate) fn exchange(&self, peer: Peer<'_>, request: &[u8], reply_command: u8) -> Exchange {
        let connection = match self.get_within(peer) {
            Ok(connection) => connection,
            Err(error) => return Exchange::new(Err(error)),
        };
        match self.exchange_on(connection, peer.limit, request, reply_command) {
            Ok(done) => Exchange::new(Ok(done)),
            Err((error, false)) => Exchange::new(Err(error)),
            Err((error, true)) => {
                let address = peer.address;
                log::debug!("{address}: an idle connection was closed ({error}), trying a new one");
                Exchange {
                    result: self.exchange_fresh(peer, request, reply_command),
                    repeated: true,
                }
            }
        }
    }

    /// Sends a request on a connection that is idle or new, and does not wait for the reply.
    pub(crate) fn begin(&self, peer: Peer<'_>, request: &[u8]) -> Result<Connection, Error> {
        let connection = self.get_within(peer)?;
        match self.send_on(connection, peer.limit, request) {
            Ok(connection) => Ok(connection),
            Err((_, true)) => {
                let fresh = self.connect_within(peer)?;
                self.send_on(fresh, peer.limit, request)
                    .map_err(|(error, _)| error)
            }
            Err((error, false)) => Err(error),
        }
    }

    /// Reads the head of the reply to a request that was [begun](PoolManager::begin); on a fresh
    /// connection if that one turns out to be closed.
    pub(crate) fn resume(
        &self,
        connection: Connection,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), Error> {
        let address = connection.address().clone();
        let limit = connection.limit();
        match self.receive_on(connection, reply_command) {
            Ok(done) => Ok(done),
            Err((_, true)) => {
                let peer = Peer {
                    address: &address,
                    limit,
                };
                self.exchange_fresh(peer, request, reply_command)
            }
            Err((error, false)) => Err(error),
        }
    }

    /// One attempt. With the error comes whether to try again on a fresh connection.
    fn exchange_on(
        &self,
        connection: Connection,
        limit: Limit,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), (Error, bool)> {
        let connection = self.send_on(connection, limit, request)?;
        self.receive_on(connection, reply_command)
    }

    fn send_on(
        &self,
        mut connection: Connection,
        limit: Limit,
        request: &[u8],
    ) -> Result<Connection, (Error, bool)> {
        connection.begin(limit);
        match connection.send(request) {
            Ok(()) => Ok(connection),
            Err(error) => Err(self.give_up(connection, error)),
        }
    }

    fn receive_on(
        &self,
        mut connection: Connection,
        reply_command: u8,
    ) -> Result<(Connection, u64), (Error, bool)> {
        match connection.read_head(reply_command) {
            Ok(body_len) => Ok((connection, body_len)),
            Err(error) => Err(self.give_up(connection, error)),
        }
    }

    fn give_up(&self, connection: Connection, error: Error) -> (Error, bool) {
        let stale = connection.is_stale(&error);
        self.put_after(connection, &error);
        (error, stale)
    }
}

impl Exchange {
    fn new(result: Result<(Connection, u64), Error>) -> Exchange {
        Exchange {
            result,
            repeated: false,
        }
    }
}
