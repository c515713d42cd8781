//! Servers that are equals: whoever answered last is asked first.

use std::sync::atomic::{AtomicUsize, Ordering};

use proto::Address;

use crate::{Error, PoolManager};

/// A list of servers any of which can answer, such as the trackers.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// What they are, for messages: `tracker`.
    role: &'static str,
    addresses: Vec<Address>,
    /// Index of the one that answered last; at first a random one, which spreads the clients.
    last_good: AtomicUsize,
}

impl Rotation {
    pub(crate) fn new(role: &'static str, addresses: Vec<Address>) -> Rotation {
        let start = rand::random::<u32>() as usize % addresses.len().max(1);
        Rotation {
            role,
            addresses,
            last_good: AtomicUsize::new(start),
        }
    }

    /// The first answer of `ask`, of each server in turn until one answers or refuses for a reason
    /// that all share.
    pub(crate) fn ask<T>(
        &self,
        what: &'static str,
        pools: &PoolManager,
        ask: impl Fn(&Address) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut errors = Vec::new();
        for address in pools.order(&self.rotated()) {
            match ask(&address) {
                Ok(answer) => {
                    self.remember(&address);
                    return Ok(answer);
                }
                Err(error) if error.moves_on() => {
                    log::debug!("{what}: {}", error.chain());
                    errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        if errors.is_empty() {
            return Err(Error::NoServer(self.role));
        }
        Err(Error::all_failed(what, errors))
    }

    fn rotated(&self) -> Vec<Address> {
        let start = self.last_good.load(Ordering::Relaxed);
        let mut addresses = self.addresses.clone();
        if start < addresses.len() {
            addresses.rotate_left(start);
        }
        addresses
    }

    fn remember(&self, address: &Address) {
        if let Some(idx) = self.addresses.iter().position(|other| other == address) {
            self.last_good.store(idx, Ordering::Relaxed);
        }
    }
}
