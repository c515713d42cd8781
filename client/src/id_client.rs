//! Numbers from the idservers.

use std::sync::Arc;

use proto::idserver::{self, IdRequest};
use proto::{Address, IdKey};

use crate::rotation::Rotation;
use crate::{Error, PoolManager};

/// Asks a list of idservers, all on one database, for numbers. Shared by any number of threads.
#[derive(Debug)]
pub struct IdClient {
    ids: Rotation,
    pools: Arc<PoolManager>,
}

impl IdClient {
    /// A client of these idservers, over the connections of `pools`.
    pub fn new(ids: Vec<Address>, pools: Arc<PoolManager>) -> IdClient {
        IdClient {
            ids: Rotation::new("idserver", ids),
            pools,
        }
    }

    /// The next number of a key, from the idserver that answered last or the first other one that
    /// answers. A number may be skipped when a connection breaks; none comes twice.
    ///
    /// # Errors
    /// What the idserver refused, or why none of them could be asked.
    pub fn next_id(&self, key: &IdKey) -> Result<u64, Error> {
        /// The reply holds one number.
        const BODY_MAX: usize = 8;
        let request = IdRequest::GetId(key.clone()).encode();
        self.ids.ask("getting a number", &self.pools, |address| {
            self.pools.call(
                address,
                &request,
                idserver::REPLY,
                BODY_MAX,
                idserver::decode_id,
            )
        })
    }
}
