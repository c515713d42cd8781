//! Numbers for the paths of new files, from the idservers.

use client::IdClient;
use log::warn;
use proto::{ErrorCode, Fault, IdKey};

pub(crate) struct Numbers(IdClient);

impl Numbers {
    pub(crate) fn new(ids: IdClient) -> Numbers {
        Numbers(ids)
    }

    /// The next number of a store path, which no other file ever had.
    ///
    /// # Errors
    /// Unavailable, when no idserver answers.
    pub(crate) fn next(&self, key: &IdKey) -> Result<u64, Fault> {
        self.0.next_id(key).map_err(|e| {
            warn!("no number for {key}: {:#}", anyhow::Error::from(e));
            Fault::new(ErrorCode::Unavailable, "no idserver gives a number")
        })
    }
}
