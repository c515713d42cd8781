//! Where the storages of a user are: from memory, or from the trackers; and trying them in turn.

use std::collections::VecDeque;

use proto::{Address, FileKey};

use crate::client::Purpose;
use crate::{Client, Error};

/// The addresses to try for one request, in order. When all that were remembered have failed the
/// trackers are asked anew, once: an address that is new, or came back, gets its turn.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) client: Client,
    pub(crate) key: FileKey,
    waiting: VecDeque<Address>,
    tried: Vec<Address>,
    /// Why those that were asked did not answer.
    errors: Vec<Error>,
    purpose: Purpose,
    /// Whether the addresses came from memory, so that the trackers may know better.
    remembered: bool,
}

impl Candidates {
    /// # Errors
    /// No tracker answers, or none knows an active storage.
    pub(crate) fn new(
        client: &Client,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<Candidates, Error> {
        let (addresses, remembered) = client.storages_of(key, purpose)?;
        Ok(Candidates {
            client: client.clone(),
            key: key.clone(),
            waiting: client.pools().order(&addresses).into(),
            tried: Vec::new(),
            errors: Vec::new(),
            purpose,
            remembered,
        })
    }

    /// The address that comes next, if one is left.
    pub(crate) fn peek(&mut self) -> Option<&Address> {
        if self.waiting.is_empty() && std::mem::take(&mut self.remembered) {
            self.ask_again();
        }
        self.waiting.front()
    }

    /// The next address, if one is left.
    pub(crate) fn next(&mut self) -> Option<Address> {
        let address = self.peek()?.clone();
        self.waiting.pop_front();
        self.tried.push(address.clone());
        Some(address)
    }

    /// Takes note of why one that was asked did not answer.
    pub(crate) fn failed(&mut self, what: &'static str, error: Error) {
        log::debug!("{what} {}: {}", self.key.file, error.chain());
        self.errors.push(error);
    }

    /// Gives an address another turn, after all others.
    pub(crate) fn retry_last(&mut self, address: Address) {
        self.waiting.push_back(address);
    }

    /// Gives an address another turn at once.
    pub(crate) fn retry_next(&mut self, address: Address) {
        self.waiting.push_front(address);
    }

    /// How often an address was handed out.
    pub(crate) fn n_tries(&self, address: &Address) -> usize {
        self.tried.iter().filter(|&tried| tried == address).count()
    }

    /// The first answer of `ask`, of each candidate in turn until one answers, or refuses for a
    /// reason that all share.
    pub(crate) fn ask_each<T>(
        &mut self,
        what: &'static str,
        mut ask: impl FnMut(&Address) -> Result<T, Error>,
    ) -> Result<T, Error> {
        while let Some(address) = self.next() {
            match ask(&address) {
                Err(error) if error.moves_on() => self.failed(what, error),
                result => return result,
            }
        }
        Err(Error::all_failed(what, std::mem::take(&mut self.errors)))
    }

    /// All addresses, tried or not.
    pub(crate) fn into_all(self) -> Vec<Address> {
        let mut all = self.tried;
        all.extend(self.waiting);
        all
    }

    fn ask_again(&mut self) {
        match self.client.storages_now(&self.key, self.purpose) {
            Ok(addresses) => {
                let untried = |address: &Address| !self.tried.contains(address);
                let ordered = self.client.pools().order(&addresses);
                self.waiting = ordered.into_iter().filter(untried).collect();
            }
            Err(error) => log::debug!("no other storages of {}: {}", self.key.user, error.chain()),
        }
    }
}

/// The first answer of `ask`, of each of the file's storages in turn. Not for an upload.
pub(crate) fn ask_each<T>(
    client: &Client,
    what: &'static str,
    key: &FileKey,
    ask: impl FnMut(&Address) -> Result<T, Error>,
) -> Result<T, Error> {
    Candidates::new(client, key, Purpose::Look)?.ask_each(what, ask)
}
