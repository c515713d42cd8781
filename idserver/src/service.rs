//! What an idserver does with a request.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use db::DbError;
use net::wire::{Caller, Reply, Service};
use proto::idserver::{IdRequest, encode_id, encode_ids};
use proto::{ErrorCode, Fault, IdKey};

use crate::config::Config;
use crate::demand::Limits;
use crate::gate::Gate;
use crate::globals::Globals;
use crate::keys::{Key, NextError};
use crate::newcomers::NotAdmitted;

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

    fn get_id(&self, peer: IpAddr, key: &IdKey) -> Result<u64, Fault> {
        self.get_ids(peer, key, 1).map(|taken| taken.start)
    }

    fn get_ids(&self, peer: IpAddr, key: &IdKey, count: u16) -> Result<Range<u64>, Fault> {
        let keys = &self.globals.keys;
        let found = keys.find(key);
        let Config { step, step_max, .. } = self.globals.config;
        let limits = Limits { step, step_max };
        let taken = found.take(count, &self.gate, limits, |size| {
            self.admit(peer, key, &found)?;
            self.reserve(key, size)
        });
        if taken.is_err() {
            keys.drop_unused(key, &found);
        }
        taken.map_err(fault)
    }

    /// Numbers in memory do not count: they may be used up by the next request.
    fn probe(&self) -> Result<Vec<u8>, Fault> {
        let available = self.globals.ids.availability().full();
        available.map(|()| Vec::new()).map_err(db_fault)
    }

    /// Lets a key have numbers, unless it would make a row too many.
    fn admit(&self, peer: IpAddr, key: &IdKey, found: &Key) -> Result<(), Fault> {
        if found.has_row() {
            return Ok(());
        }
        let Globals {
            ids,
            newcomers,
            metrics,
            ..
        } = &*self.globals;
        let admitted = newcomers.admit(&**ids, key, peer);
        admitted.map_err(|refused| match refused {
            NotAdmitted::Database(error) => {
                metrics.steps.inc();
                metrics.failed_steps.inc();
                db_fault(error)
            }
            NotAdmitted::Limit(fault) => {
                metrics.refused_keys.inc();
                fault
            }
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
        let is_failure = |error: &DbError| !matches!(error, DbError::Unfit { .. });
        let has_failed = reserved.as_ref().is_err_and(is_failure);
        metrics.failed_steps.inc_by(u64::from(has_failed));
        let reserved = reserved.map_err(db_fault)?;
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

/// Another idserver or a later try may do better, whatever is wrong with the database; but not with a
/// key that its column cannot hold.
fn db_fault(error: DbError) -> Fault {
    match error {
        DbError::Unfit { .. } => error.into(),
        error => Fault {
            code: ErrorCode::Unavailable,
            ..Fault::from(error)
        },
    }
}

fn unavailable(message: &str) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}

impl Service for IdService {
    type Request = IdRequest;
    type Session = ();

    fn call(&self, request: IdRequest, caller: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let peer = caller.peer.ip();
        self.globals.allowed.check(peer)?;
        match request {
            IdRequest::GetId(key) => self.get_id(peer, &key).map(encode_id),
            IdRequest::GetIds(key, count) => {
                let ids = self.get_ids(peer, &key, count);
                ids.map(|ids| encode_ids(&ids))
            }
            IdRequest::Probe => self.probe(),
        }
        .map(Reply::Body)
    }
}

#[cfg(test)]
mod tests;
