//! A list of equivalent servers. The one that answered latest is asked first.

use std::sync::atomic::{AtomicUsize, Ordering};

use proto::Address;

use crate::server_queue::{Peer, ServerQueue};
use crate::{ConnectionPool, Error};

/// A list of equivalent servers, such as the trackers.
#[derive(Debug)]
pub(crate) struct ServerList {
    /// Their role in messages, such as `tracker`.
    role: &'static str,
    /// Numeric addresses first: no request waits for a name server while one of them answers.
    addresses: Vec<Address>,
    /// Index of the server that answered latest. At first random among the numeric addresses, or
    /// among all if there are none, which spreads the clients.
    preferred: AtomicUsize,
}

impl ServerList {
    pub(crate) fn new(role: &'static str, mut addresses: Vec<Address>) -> ServerList {
        let is_name = |address: &Address| !base::resolve::is_numeric(address.as_str());
        addresses.sort_by_key(is_name);
        let n_numeric = addresses.partition_point(|address| !is_name(address));
        let n_first = if n_numeric > 0 {
            n_numeric
        } else {
            addresses.len().max(1)
        };
        let start = rand::random::<u32>() as usize % n_first;
        ServerList {
            role,
            addresses,
            preferred: AtomicUsize::new(start),
        }
    }

    /// Calls `ask` for each server until one answers, or refuses for a reason that all share.
    pub(crate) fn ask<T>(
        &self,
        what: &'static str,
        pool: &ConnectionPool,
        ask: impl Fn(Peer<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let servers = pool.order(&self.in_order());
        let queue = ServerQueue::new(self.role, servers, pool.io_timeout());
        let (address, answer) = queue.ask(what, Error::moves_on, ask)?;
        self.remember(&address);
        Ok(answer)
    }

    /// All servers: the numeric addresses, then the names, each in the order of the configuration.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The order of a request: the preferred server, then the numeric addresses, then the names.
    fn in_order(&self) -> Vec<Address> {
        let start = self.preferred.load(Ordering::Relaxed);
        let mut addresses = self.addresses.clone();
        if start < addresses.len() {
            addresses.rotate_left(start);
            addresses[1..].sort_by_key(|address| !base::resolve::is_numeric(address.as_str()));
        }
        addresses
    }

    fn remember(&self, address: &Address) {
        if let Some(idx) = self.addresses.iter().position(|other| other == address) {
            self.preferred.store(idx, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn numeric_addresses_are_asked_before_names() {
        let mixed = addresses(&["a.example:1", "127.0.0.1:1", "b.example:1", "127.0.0.2:1"]);
        for _ in 0..20 {
            let servers = ServerList::new("tracker", mixed.clone());
            let order = servers.in_order();
            let is_numeric = |address: &Address| base::resolve::is_numeric(address.as_str());
            assert!(order[..2].iter().all(is_numeric), "{order:?}");
            assert_eq!(order.len(), 4);
        }
    }

    #[test]
    fn who_answered_last_is_asked_first() {
        let servers = ServerList::new("tracker", addresses(&["127.0.0.1:1", "a.example:1"]));
        servers.remember(&"a.example:1".parse().unwrap());
        assert_eq!(
            servers.in_order(),
            addresses(&["a.example:1", "127.0.0.1:1"])
        );
    }
}
