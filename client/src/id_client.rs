//! Numbers from the idservers.

use std::ops::Range;
use std::sync::Arc;

use proto::idserver::{self, IdRequest};
use proto::{Address, IdKey};

use crate::rotation::Rotation;
use crate::server_queue::Peer;
use crate::unsupported::{ConnectionChoice, UnsupportedCommands};
use crate::{Error, PoolManager};

/// A client of idservers that share one database. Shared by any number of threads.
#[derive(Debug)]
pub struct IdClient {
    ids: Rotation,
    pools: Arc<PoolManager>,
    no_several: UnsupportedCommands,
    no_probe: UnsupportedCommands,
}

impl IdClient {
    /// A client with the connections of `pools`.
    pub fn new(ids: Vec<Address>, pools: Arc<PoolManager>) -> IdClient {
        IdClient {
            ids: Rotation::new("idserver", ids),
            pools,
            no_several: UnsupportedCommands::new("GET-IDS"),
            no_probe: UnsupportedCommands::new("PROBE"),
        }
    }

    /// The next number of a key, from the idserver that answered latest, or the first other one that
    /// answers. A number may be skipped if a connection breaks; none is returned twice.
    ///
    /// # Errors
    /// An idserver refused, or none could be asked.
    pub fn next_id(&self, key: &IdKey) -> Result<u64, Error> {
        self.ids.ask("getting a number", &self.pools, |peer| {
            self.next_id_of(peer, key)
        })
    }

    /// The next numbers of a key: at least one, at most `count`, which is from 1 to
    /// [`IDS_MAX`](proto::idserver::IDS_MAX). A C++ idserver returns one.
    ///
    /// # Errors
    /// As [`IdClient::next_id`].
    pub fn next_ids(&self, key: &IdKey, count: u16) -> Result<Range<u64>, Error> {
        let request = IdRequest::GetIds(key.clone(), count).encode();
        let (max, decode) = (idserver::IDS_LEN, idserver::decode_ids);
        self.ids.ask("getting numbers", &self.pools, |peer| {
            let several = |choice| {
                self.pools
                    .call_on(choice, peer, &request, idserver::REPLY, max, decode)
            };
            let one = || self.next_id_of(peer, key).map(|id| id..id + 1);
            self.no_several.ask(peer.address, several, one)
        })
    }

    /// The idservers: numeric addresses, then names.
    pub fn addresses(&self) -> &[Address] {
        self.ids.addresses()
    }

    /// Checks that an idserver can return numbers, without using one. A C++ idserver passes if it
    /// accepts a connection.
    ///
    /// # Errors
    /// The idserver has no numbers, or could not be asked.
    pub fn probe(&self, address: &Address) -> Result<(), Error> {
        let request = IdRequest::Probe.encode();
        let peer = Peer::new(address, self.pools.io_timeout());
        let probe = |choice| {
            let reply = idserver::REPLY;
            self.pools
                .call_on(choice, peer, &request, reply, 0, |_| Ok(()))
        };
        let connect = || self.pools.connect(address).map(drop);
        self.no_probe.ask(address, probe, connect)
    }

    fn next_id_of(&self, peer: Peer<'_>, key: &IdKey) -> Result<u64, Error> {
        let request = IdRequest::GetId(key.clone()).encode();
        let (max, decode) = (idserver::ID_LEN, idserver::decode_id);
        self.pools.call_on(
            ConnectionChoice::Any,
            peer,
            &request,
            idserver::REPLY,
            max,
            decode,
        )
    }
}
