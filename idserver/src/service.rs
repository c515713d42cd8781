//! What an idserver does with a request.

use std::ops::Range;
use std::sync::Arc;

use daemon::wire::{Caller, Reply, Service};
use proto::idserver::{IdRequest, encode_id};
use proto::{ErrorCode, Fault, IdKey};

use crate::gate::Gate;
use crate::globals::Globals;
use crate::keys::NextError;

pub(crate) struct IdService {
    globals: Arc<Globals>,
    /// In front of the database.
    gate: Gate,
}

impl IdService {
    pub(crate) fn new(globals: Arc<Globals>) -> IdService {
        let gate = Gate::new(globals.config.server.workers);
        IdService { globals, gate }
    }

    fn get_id(&self, key: &IdKey) -> Result<u64, Fault> {
        let found = self.globals.keys.find(key);
        found
            .next(&self.gate, || self.reserve(key))
            .map_err(|error| match error {
                NextError::Step(fault) => fault,
                NextError::Shared => unavailable("the database failed just now, try again"),
                NextError::Slow => unavailable("the database takes too long"),
            })
    }

    /// Whatever went wrong, no number is lost but some may be skipped, and trying again is safe.
    fn reserve(&self, key: &IdKey) -> Result<Range<u64>, Fault> {
        let reserved = self.globals.ids.reserve(key, self.globals.config.step);
        let reserved = reserved.map_err(|error| Fault {
            code: ErrorCode::Unavailable,
            ..Fault::from(error)
        })?;
        reserved.ok_or_else(|| unavailable(&format!("the numbers of key {key} are used up")))
    }
}

fn unavailable(message: &str) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}

impl Service for IdService {
    type Request = IdRequest;
    type Session = ();

    fn call(&self, request: IdRequest, _caller: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let IdRequest::GetId(key) = request;
        self.get_id(&key).map(|id| Reply::Body(encode_id(id)))
    }
}

#[cfg(test)]
mod tests;
