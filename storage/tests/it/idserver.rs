//! An idserver that counts from 0, whatever the key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use daemon::metrics::Metrics;
use net::wire::{Caller, Reply, Service, Wire};
use net::{Server, ServerConfig};
use proto::Fault;
use proto::idserver::{IdRequest, encode_id, encode_ids};

struct Counting(AtomicU64);

impl Service for Counting {
    type Request = IdRequest;
    type Session = ();

    fn call(&self, request: IdRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let take = |count| self.0.fetch_add(count, Ordering::Relaxed);
        Ok(Reply::bytes(match request {
            IdRequest::Probe => Vec::new(),
            IdRequest::GetId(_) => encode_id(take(1)),
            IdRequest::GetIds(_, count) => {
                let first = take(count.into());
                encode_ids(&(first..first + u64::from(count)))
            }
        }))
    }
}

pub(crate) fn idserver() -> Server {
    let wire = Wire::new(
        Counting(AtomicU64::new(0)),
        "ids",
        Arc::new(Metrics::of_wire::<IdRequest>()),
    );
    Server::start(
        "ids",
        ([127, 0, 0, 1], 0).into(),
        &ServerConfig::default(),
        wire,
    )
    .unwrap()
}
