//! Numbers from the idservers.

use std::ops::Range;
use std::sync::Arc;

use proto::idserver::{self, IdRequest};
use proto::{Address, IdKey};

use crate::lacking::{Lacking, Way};
use crate::rotation::Rotation;
use crate::turns::Peer;
use crate::{Error, PoolManager};

/// Asks a list of idservers, all on one database, for numbers. Shared by any number of threads.
#[derive(Debug)]
pub struct IdClient {
    ids: Rotation,
    pools: Arc<PoolManager>,
    no_several: Lacking,
    no_probe: Lacking,
}

impl IdClient {
    /// A client of these idservers, over the connections of `pools`.
    pub fn new(ids: Vec<Address>, pools: Arc<PoolManager>) -> IdClient {
        IdClient {
            ids: Rotation::new("idserver", ids),
            pools,
            no_several: Lacking::new("GET-IDS"),
            no_probe: Lacking::new("PROBE"),
        }
    }

    /// The next number of a key, from the idserver that answered last or the first other one that
    /// answers. A number may be skipped when a connection breaks; none comes twice.
    ///
    /// # Errors
    /// What the idserver refused, or why none of them could be asked.
    pub fn next_id(&self, key: &IdKey) -> Result<u64, Error> {
        self.ids.ask("getting a number", &self.pools, |peer| {
            self.next_id_of(peer, key)
        })
    }

    /// The next numbers of a key, one at least and `count` at most; `count` may be from 1 to
    /// [`IDS_MAX`](proto::idserver::IDS_MAX). A C++ idserver gives one at a time.
    ///
    /// # Errors
    /// As [`IdClient::next_id`].
    pub fn next_ids(&self, key: &IdKey, count: u16) -> Result<Range<u64>, Error> {
        let request = IdRequest::GetIds(key.clone(), count).encode();
        let (max, decode) = (idserver::IDS_LEN, idserver::decode_ids);
        self.ids.ask("getting numbers", &self.pools, |peer| {
            let several = |way| {
                self.pools
                    .call_on(way, peer, &request, idserver::REPLY, max, decode)
            };
            let one = || self.next_id_of(peer, key).map(|id| id..id + 1);
            self.no_several.ask(peer.address, several, one)
        })
    }

    /// The idservers, in the order of the configuration.
    pub fn addresses(&self) -> &[Address] {
        self.ids.addresses()
    }

    /// Whether an idserver can give numbers, found out without using one up. A C++ idserver is
    /// well when it accepts a connection.
    ///
    /// # Errors
    /// Why it gives none, or why it could not be asked.
    pub fn probe(&self, address: &Address) -> Result<(), Error> {
        let request = IdRequest::Probe.encode();
        let peer = Peer::new(address, self.pools.io_timeout());
        let probe = |way| {
            let reply = idserver::REPLY;
            self.pools
                .call_on(way, peer, &request, reply, 0, |_| Ok(()))
        };
        let connect = || self.pools.connect(address).map(drop);
        self.no_probe.ask(address, probe, connect)
    }

    fn next_id_of(&self, peer: Peer<'_>, key: &IdKey) -> Result<u64, Error> {
        let request = IdRequest::GetId(key.clone()).encode();
        let (max, decode) = (idserver::ID_LEN, idserver::decode_id);
        self.pools
            .call_on(Way::Any, peer, &request, idserver::REPLY, max, decode)
    }
}
