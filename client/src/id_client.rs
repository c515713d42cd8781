//! Numbers from the idservers.

use std::ops::Range;
use std::sync::Arc;

use proto::idserver::{self, IdRequest};
use proto::{Address, IdKey};

use crate::call::Call;
use crate::server_list::ServerList;
use crate::server_queue::Peer;
use crate::unsupported::{ConnectionChoice, UnsupportedCommands};
use crate::{ConnectionPool, Error};

/// A client of idservers that share one database. Shared by any number of threads.
#[derive(Debug)]
pub struct IdClient {
    ids: ServerList,
    pool: Arc<ConnectionPool>,
    no_several: UnsupportedCommands,
    no_probe: UnsupportedCommands,
}

impl IdClient {
    /// A client with the connections of `pool`.
    pub fn new(ids: Vec<Address>, pool: Arc<ConnectionPool>) -> IdClient {
        IdClient {
            ids: ServerList::new("idserver", ids),
            pool,
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
        self.ids.ask("getting a number", &self.pool, |peer| {
            self.next_id_of(peer, key)
        })
    }

    /// The next numbers of a key: at least one, at most `count`, which is from 1 to
    /// [`IDS_MAX`](proto::idserver::IDS_MAX). A C++ idserver returns one.
    ///
    /// # Errors
    /// As [`IdClient::next_id`].
    pub fn next_ids(&self, key: &IdKey, count: u16) -> Result<Range<u64>, Error> {
        let request = IdRequest::GetIds(key.clone(), count);
        let call = Call::idserver(&request, idserver::IDS_LEN, idserver::decode_ids);
        self.ids.ask("getting numbers", &self.pool, |peer| {
            let several = |choice| self.pool.call_on(choice, peer, &call);
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
        let call = Call::idserver(&IdRequest::Probe, 0, |_| Ok(()));
        let peer = Peer::new(address, self.pool.io_timeout());
        let probe = |choice| self.pool.call_on(choice, peer, &call);
        let connect = || self.pool.connect(address).map(drop);
        self.no_probe.ask(address, probe, connect)
    }

    fn next_id_of(&self, peer: Peer<'_>, key: &IdKey) -> Result<u64, Error> {
        let request = IdRequest::GetId(key.clone());
        let call = Call::idserver(&request, idserver::ID_LEN, idserver::decode_id);
        self.pool.call_on(ConnectionChoice::Any, peer, &call)
    }
}
