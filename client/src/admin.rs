//! Orders to trackers and storages, proved with the administrators' key.

use std::fmt;
use std::time::Duration;

use proto::admin::{self, ORDER_REPLY_MAX, Order, Signed, StorageOrder, TrackerOrder};
use proto::cluster::Storage;
use proto::storage::{self, StorageRequest};
use proto::tracker::{self, TrackerRequest};
use proto::{Address, DecodeError, NodeId};

use crate::turns::Turns;
use crate::{Connection, ConnectionConfig, Error, may_be_unknown};

/// A storage to give orders to, and the one that is meant: whoever answers at the address obeys
/// only if it is that one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageTarget {
    /// Where it is asked.
    pub address: Address,
    /// Who is asked.
    pub node: NodeId,
}

impl TryFrom<&Storage> for StorageTarget {
    type Error = DecodeError;

    /// As a tracker tells of it; a C++ storage has no node id, and takes no orders.
    fn try_from(storage: &Storage) -> Result<StorageTarget, DecodeError> {
        Ok(StorageTarget {
            address: storage.address.parse()?,
            node: storage.node.parse()?,
        })
    }
}

/// Gives orders, each on a connection of its own.
pub struct Admin {
    key: Vec<u8>,
    connection: ConnectionConfig,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// Signs with this key, which never goes over the network.
    pub fn new(key: Vec<u8>, connection: ConnectionConfig) -> Admin {
        Admin { key, connection }
    }

    /// The same, for orders that take up to `time`.
    pub fn patient(&self, time: Duration) -> Admin {
        self.within(self.connection.io_timeout.max(time))
    }

    /// The same with another longest wait for an answer.
    fn within(&self, io_timeout: Duration) -> Admin {
        let connection = ConnectionConfig {
            io_timeout,
            connect_timeout: self.connection.connect_timeout.min(io_timeout),
            ..self.connection.clone()
        };
        Admin {
            key: self.key.clone(),
            connection,
        }
    }

    /// Has a tracker carry out an order; the reply's body.
    ///
    /// # Errors
    /// It refused, or could not be asked.
    pub fn tell_tracker(&self, address: &Address, order: &TrackerOrder) -> Result<Vec<u8>, Error> {
        let challenge = TrackerRequest::Challenge.encode();
        let admin = |signed| TrackerRequest::Admin(Box::new(signed)).encode();
        self.tell((address, &()), order, &challenge, admin, tracker::REPLY)
    }

    /// Has the first tracker that can carry out an order which may be carried out twice; that tracker
    /// and the reply's body. A silent tracker costs 2 s while another one can be asked. A C++ tracker,
    /// which knows no orders, and one that has another key are passed over.
    ///
    /// # Errors
    /// A tracker refused for a reason that all share, or none could be asked.
    pub fn tell_any_tracker<'a>(
        &self,
        trackers: &'a [Address],
        order: &TrackerOrder,
    ) -> Result<(&'a Address, Vec<u8>), Error> {
        let mut errors = Vec::new();
        let mut turns = Turns::new(trackers.to_vec(), self.connection.io_timeout);
        while let Some((address, time)) = turns.next() {
            match self.within(time).tell_tracker(&address, order) {
                Ok(body) => {
                    let found = trackers.iter().find(|tracker| **tracker == address);
                    return Ok((found.expect("turns are given to these only"), body));
                }
                Err(error) if error.moves_on() || may_be_unknown(&error) => {
                    log::debug!("asking {address}: {}", error.chain());
                    turns.failed(&address, &error);
                    errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        if errors.is_empty() {
            return Err(Error::NoServer("tracker"));
        }
        Err(Error::all_failed("asking the trackers", errors))
    }

    /// Has a storage carry out an order; the reply's body.
    ///
    /// # Errors
    /// It refused, or could not be asked.
    pub fn tell_storage(
        &self,
        storage: &StorageTarget,
        order: &StorageOrder,
    ) -> Result<Vec<u8>, Error> {
        let challenge = StorageRequest::Challenge.encode();
        let admin = |signed| StorageRequest::Admin(Box::new(signed)).encode();
        let to = (&storage.address, &storage.node);
        self.tell(to, order, &challenge, admin, storage::REPLY)
    }

    fn tell<O: Order>(
        &self,
        (address, target): (&Address, &O::Target),
        order: &O,
        challenge: &[u8],
        admin: impl Fn(Signed) -> Vec<u8>,
        reply: u8,
    ) -> Result<Vec<u8>, Error> {
        let mut connection = Connection::connect(address, &self.connection)?;
        let nonce = connection.call(challenge, reply, admin::NONCE_LEN)?;
        let nonce =
            admin::decode_nonce(&nonce).map_err(|error| connection.protocol_error(error.into()))?;
        let signed = Signed::new(order, target, &self.key, &nonce);
        connection.call(&admin(signed), reply, ORDER_REPLY_MAX)
    }
}
