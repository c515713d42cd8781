//! Answers the requests of storages.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use db::DbError;
use net::wire::{Caller, Reply, Service};
use proto::idserver::{IdRequest, encode_id, encode_ids};
use proto::{Fault, IdKey};

use crate::filler::RefillQueue;
use crate::globals::Globals;

pub(crate) struct IdService {
    globals: Arc<Globals>,
    queue: RefillQueue,
}

impl IdService {
    pub(crate) fn new(globals: Arc<Globals>, queue: RefillQueue) -> IdService {
        IdService { globals, queue }
    }

    fn get_id(&self, peer: IpAddr, key: &IdKey) -> Result<u64, Fault> {
        self.get_ids(peer, key, 1).map(|taken| taken.start)
    }

    fn get_ids(&self, peer: IpAddr, name: &IdKey, count: u16) -> Result<Range<u64>, Fault> {
        let Globals {
            keys, wait_limit, ..
        } = &*self.globals;
        let key = keys.find(name);
        let request = || self.queue.request(&self.globals, name, &key, peer);
        let taken = key.take(count, wait_limit, request);
        if taken.is_err() {
            keys.drop_unused(name, &key);
        }
        taken
    }

    /// Judges by the database alone: the next request may use up the numbers in memory.
    fn probe(&self) -> Result<Vec<u8>, Fault> {
        let available = self.globals.ids.availability().full();
        available
            .map(|()| Vec::new())
            .map_err(DbError::retryable_fault)
    }
}

impl Service for IdService {
    type Request = IdRequest;
    type Session = ();

    fn call(&self, request: IdRequest, caller: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let peer = caller.peer.ip();
        match request {
            IdRequest::GetId(key) => self.get_id(peer, &key).map(encode_id),
            IdRequest::GetIds(key, count) => {
                let ids = self.get_ids(peer, &key, count);
                ids.map(|ids| encode_ids(&ids))
            }
            IdRequest::Probe => self.probe(),
        }
        .map(Reply::bytes)
    }
}

#[cfg(test)]
mod tests;
