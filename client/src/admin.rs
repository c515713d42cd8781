//! Orders to trackers and storages, proved with the administrators' key.

use std::fmt;
use std::time::Duration;

use proto::admin::{self, ORDER_REPLY_MAX, Order, Signed, StorageOrder, TrackerOrder};
use proto::cluster::Storage;
use proto::storage::{self, StorageRequest};
use proto::tracker::{self, TrackerRequest};
use proto::{Address, DecodeError, NodeId};

use crate::{Connection, ConnectionConfig, Error};

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
        Admin {
            key: self.key.clone(),
            connection: ConnectionConfig {
                io_timeout: self.connection.io_timeout.max(time),
                ..self.connection.clone()
            },
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
