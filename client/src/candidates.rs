//! The storages to try for one request.

use std::time::Duration;

use proto::{Address, FileKey};

use crate::client::Purpose;
use crate::server_queue::{Peer, ServerQueue};
use crate::{Client, Error};

/// The storages to try for one request, in order. If all cached ones have failed, the trackers are
/// asked once for others.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) client: Client,
    pub(crate) key: FileKey,
    queue: ServerQueue,
    tried: Vec<Address>,
    purpose: Purpose,
    /// True if the addresses came from the cache and the trackers were not asked yet.
    cached: bool,
}

impl Candidates {
    /// # Errors
    /// No tracker answers, or none knows an active storage.
    pub(crate) fn new(
        client: &Client,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<Candidates, Error> {
        let (addresses, cached) = client.storages_of(key, purpose)?;
        Ok(Candidates {
            client: client.clone(),
            key: key.clone(),
            queue: ServerQueue::new(
                "storage",
                client.order(key, purpose, &addresses),
                client.shared.pool.io_timeout(),
            ),
            tried: Vec::new(),
            purpose,
            cached,
        })
    }

    /// The next address, if one is left.
    pub(crate) fn peek(&mut self) -> Option<&Address> {
        if self.queue.all_asked_once() && std::mem::take(&mut self.cached) {
            self.ask_again();
        }
        self.queue.peek()
    }

    /// Removes the next address, if one is left; with the time for its request.
    pub(crate) fn next(&mut self) -> Option<(Address, Duration)> {
        self.peek()?;
        let (address, time) = self.queue.next()?;
        self.tried.push(address.clone());
        Some((address, time))
    }

    /// Records the failure of a storage.
    pub(crate) fn failed(&mut self, what: &'static str, address: &Address, error: Error) {
        let what = format!("{what} {}", self.key.file);
        self.queue.failed(&what, address, error);
    }

    /// Tries an address again, before or after all others.
    pub(crate) fn again(&mut self, address: Address, first: bool) {
        self.queue.again(address, first);
    }

    /// How often an address was returned.
    pub(crate) fn n_tries(&self, address: &Address) -> usize {
        self.tried.iter().filter(|&tried| tried == address).count()
    }

    /// Calls `ask` for each candidate until one answers, or refuses for a reason that all share.
    pub(crate) fn ask_each<T>(
        &mut self,
        what: &'static str,
        mut ask: impl FnMut(Peer<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        while let Some((address, time)) = self.next() {
            match ask(Peer::new(&address, time)) {
                Err(error) if error.moves_on() => self.failed(what, &address, error),
                result => return result,
            }
        }
        Err(self.queue.all_failed(what))
    }

    /// All addresses, tried or not.
    pub(crate) fn into_all(self) -> Vec<Address> {
        let mut all = Vec::new();
        for address in self.tried.into_iter().chain(self.queue.into_rest()) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    fn ask_again(&mut self) {
        match self.client.storages_now(&self.key, self.purpose) {
            Ok(addresses) => {
                let untried = |address: &Address| !self.tried.contains(address);
                let ordered = self.client.order(&self.key, self.purpose, &addresses);
                self.queue.extend(ordered.into_iter().filter(untried));
            }
            Err(error) => log::debug!("no other storages of {}: {}", self.key.user, error.chain()),
        }
    }
}

/// Calls `ask` for each storage of a file until one answers. Not for uploads.
pub(crate) fn ask_each<T>(
    client: &Client,
    what: &'static str,
    key: &FileKey,
    ask: impl FnMut(Peer<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    Candidates::new(client, key, Purpose::Read)?.ask_each(what, ask)
}
