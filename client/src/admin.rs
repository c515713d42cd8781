//! Administrators' orders to trackers and storages, signed with their key.

use std::fmt;
use std::time::Duration;

use proto::admin::{self, ORDER_REPLY_MAX, Order, Signed, StorageOrder, TrackerOrder};
use proto::cluster::Storage;
use proto::storage::{self, StorageRequest};
use proto::tracker::{self, TrackerRequest};
use proto::{Address, DecodeError, NodeId};

use crate::server_queue::ServerQueue;
use crate::{Connection, ConnectionConfig, Error, may_be_unknown};

/// The target of an order. A storage at this address with another node id refuses the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageTarget {
    /// Its address.
    pub address: Address,
    /// Its node id.
    pub node: NodeId,
}

impl TryFrom<&Storage> for StorageTarget {
    type Error = DecodeError;

    /// The storage of a tracker's report. A C++ storage has no node id and takes no orders.
    fn try_from(storage: &Storage) -> Result<StorageTarget, DecodeError> {
        Ok(StorageTarget {
            address: storage.address.parse()?,
            node: storage.node.parse()?,
        })
    }
}

/// Sends orders, each on a new connection.
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
    /// Signs with this key, which is never sent.
    pub fn new(key: Vec<u8>, connection: ConnectionConfig) -> Admin {
        Admin { key, connection }
    }

    /// A copy for orders that take up to `time`.
    pub fn with_time(&self, time: Duration) -> Admin {
        self.within(self.connection.io_timeout.max(time))
    }

    /// A copy with another timeout.
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

    /// Sends an order to a tracker and returns the body of its reply.
    ///
    /// # Errors
    /// The tracker refused, could not be asked, or did not sign its reply.
    pub fn tell_tracker(&self, address: &Address, order: &TrackerOrder) -> Result<Vec<u8>, Error> {
        let challenge = TrackerRequest::Challenge.encode();
        let admin = |signed| TrackerRequest::Admin(Box::new(signed)).encode();
        let target = Connection::peer_addr;
        self.tell(address, target, order, &challenge, admin, tracker::REPLY)
    }

    /// Sends an order that may be executed twice to each tracker until one executes it. Returns this
    /// tracker and the body of its reply. A silent tracker costs 2 s while another one is left. C++
    /// trackers, which take no orders, and trackers with another key are passed over.
    ///
    /// # Errors
    /// A tracker refused for a reason that all share, or none could be asked.
    pub fn tell_any_tracker(
        &self,
        trackers: &[Address],
        order: &TrackerOrder,
    ) -> Result<(Address, Vec<u8>), Error> {
        let queue = ServerQueue::new("tracker", trackers.to_vec(), self.connection.io_timeout);
        let moves_on = |error: &Error| error.moves_on() || may_be_unknown(error);
        queue.ask("asking the trackers", moves_on, |peer| {
            let admin = self.within(peer.limit.time);
            admin.tell_tracker(peer.address, order)
        })
    }

    /// Sends an order to a storage and returns the body of its reply.
    ///
    /// # Errors
    /// The storage refused, could not be asked, or did not sign its reply.
    pub fn tell_storage(
        &self,
        storage: &StorageTarget,
        order: &StorageOrder,
    ) -> Result<Vec<u8>, Error> {
        let challenge = StorageRequest::Challenge.encode();
        let admin = |signed| StorageRequest::Admin(Box::new(signed)).encode();
        let target = |_: &mut Connection| Ok(storage.node.clone());
        let to = &storage.address;
        self.tell(to, target, order, &challenge, admin, storage::REPLY)
    }

    /// `target` tells the identity of the server at the other end of a connection.
    fn tell<O: Order>(
        &self,
        address: &Address,
        target: impl FnOnce(&mut Connection) -> Result<O::Target, Error>,
        order: &O,
        challenge: &[u8],
        admin: impl Fn(Signed) -> Vec<u8>,
        reply: u8,
    ) -> Result<Vec<u8>, Error> {
        let mut connection = Connection::connect(address, &self.connection)?;
        let nonce = connection.call(challenge, reply, admin::NONCE_LEN)?;
        let nonce =
            admin::decode_nonce(&nonce).map_err(|error| connection.protocol_error(error.into()))?;
        let target = target(&mut connection)?;
        let signed = Signed::new(order, &target, &self.key, &nonce);
        let body = connection.call(&admin(signed.clone()), reply, ORDER_REPLY_MAX)?;
        let body = signed.open_reply::<O>(&target, &self.key, &nonce, &body);
        let text = "its reply is not signed with the admin key: the order may not be executed";
        body.ok_or_else(|| connection.give_up_untrusted(text.to_owned()))
    }
}
