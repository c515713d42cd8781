//! What an idserver does with a request.

use std::ops::Range;
use std::sync::Arc;

use daemon::wire::{Caller, Reply, Service};
use proto::idserver::{IdRequest, encode_id, encode_ids};
use proto::{ErrorCode, Fault, IdKey};

use crate::config::Config;
use crate::demand::Limits;
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
        self.get_ids(key, 1).map(|taken| taken.start)
    }

    fn get_ids(&self, key: &IdKey, count: u16) -> Result<Range<u64>, Fault> {
        let found = self.globals.keys.find(key);
        let Config { step, step_max, .. } = self.globals.config;
        let limits = Limits { step, step_max };
        let taken = found.take(count, &self.gate, limits, |size| self.reserve(key, size));
        taken.map_err(fault)
    }

    /// Numbers in memory do not count: they may be used up by the next request.
    fn probe(&self) -> Result<Vec<u8>, Fault> {
        let available = self.globals.ids.availability().full();
        available.map(|()| Vec::new()).map_err(|error| Fault {
            code: ErrorCode::Unavailable,
            ..Fault::from(error)
        })
    }

    /// Whatever went wrong, no number is lost but some may be skipped, and trying again is safe.
    fn reserve(&self, key: &IdKey, size: u32) -> Result<Range<u64>, Fault> {
        let Globals { ids, config, .. } = &*self.globals;
        let reserved = match ids.reserve(key, size) {
            // The last numbers of all are had step by step.
            Ok(None) if size > config.step => ids.reserve(key, config.step),
            reserved => reserved,
        };
        let metrics = &self.globals.metrics;
        metrics.steps.inc();
        metrics.failed_steps.inc_by(u64::from(reserved.is_err()));
        let reserved = reserved.map_err(|error| Fault {
            code: ErrorCode::Unavailable,
            ..Fault::from(error)
        })?;
        reserved.ok_or_else(|| unavailable(&format!("the numbers of key {key} are used up")))
    }
}

fn fault(error: NextError<Fault>) -> Fault {
    match error {
        NextError::Step(fault) => fault,
        NextError::Shared => unavailable("the step that was waited for failed just now, try again"),
        NextError::Slow => unavailable("the database takes too long"),
        NextError::SetBack => unavailable(
            "another program has set the numbers back in the database: they would be given twice",
        ),
    }
}

fn unavailable(message: &str) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}

impl Service for IdService {
    type Request = IdRequest;
    type Session = ();

    fn call(&self, request: IdRequest, _caller: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        match request {
            IdRequest::GetId(key) => self.get_id(&key).map(encode_id),
            IdRequest::GetIds(key, count) => self.get_ids(&key, count).map(|ids| encode_ids(&ids)),
            IdRequest::Probe => self.probe(),
        }
        .map(Reply::Body)
    }
}

#[cfg(test)]
mod tests;
