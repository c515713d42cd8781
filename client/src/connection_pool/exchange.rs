//! One request and the head of its reply, on a pooled or a new connection.

use super::ConnectionPool;
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Connection, Error};

/// The result of one request up to the head of its reply.
pub(crate) struct Exchange {
    /// The connection, and the length of the body that it still has to deliver.
    pub(crate) result: Result<(Connection, u64), Error>,
    /// True if the whole request was sent twice: the peer may have executed it twice.
    pub(crate) repeated: bool,
}

impl ConnectionPool {
    /// Sends a request and reads the head of its reply.
    pub(crate) fn exchange(
        &self,
        choice: ConnectionChoice,
        peer: Peer<'_>,
        request: &[u8],
        reply_command: u8,
    ) -> Exchange {
        match self.begin(choice, peer, request) {
            Ok(connection) => self.resume(connection, request, reply_command),
            Err(error) => Exchange::new(Err(error)),
        }
    }

    /// Sends a request and does not wait for the reply. If the peer had closed a pooled
    /// connection, the request goes out on a new one.
    pub(crate) fn begin(
        &self,
        choice: ConnectionChoice,
        peer: Peer<'_>,
        request: &[u8],
    ) -> Result<Connection, Error> {
        let mut connection = match choice {
            ConnectionChoice::Any => self.get_within(peer)?,
            ConnectionChoice::Fresh => self.connect_within(peer)?,
        };
        connection.begin(peer.limit);
        match connection.send(request) {
            Ok(()) => Ok(connection),
            Err(error) if self.is_stale(&connection, &error) => {
                self.begin(ConnectionChoice::Fresh, peer, request)
            }
            Err(error) => Err(self.give_up(connection, error)),
        }
    }

    /// Reads the head of the reply to a request that was [begun](ConnectionPool::begin). If the peer
    /// had closed a pooled connection, the request is repeated on a new one.
    pub(crate) fn resume(
        &self,
        mut connection: Connection,
        request: &[u8],
        reply_command: u8,
    ) -> Exchange {
        match connection.read_head(reply_command) {
            Ok(body_len) => Exchange::new(Ok((connection, body_len))),
            Err(error) if self.is_stale(&connection, &error) => {
                let peer = Peer {
                    address: connection.address(),
                    limit: connection.limit(),
                };
                let choice = ConnectionChoice::Fresh;
                Exchange {
                    repeated: true,
                    ..self.exchange(choice, peer, request, reply_command)
                }
            }
            Err(error) => Exchange::new(Err(self.give_up(connection, error))),
        }
    }

    fn is_stale(&self, connection: &Connection, error: &Error) -> bool {
        let is_stale = connection.is_stale(error);
        if is_stale {
            let address = connection.address();
            log::debug!("{address}: an idle connection was closed ({error}), trying a new one");
        }
        is_stale
    }

    fn give_up(&self, connection: Connection, error: Error) -> Error {
        self.put_after(connection, &error);
        error
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
