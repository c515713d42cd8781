//! Where the storages of a user are: from memory, or from the trackers; and trying them in turn.

use std::time::Duration;

use proto::{Address, FileKey};

use crate::client::Purpose;
use crate::turns::{Peer, Turns};
use crate::{Client, Error};

/// The addresses to try for one request, in order. When all that were remembered have failed the
/// trackers are asked anew, once: an address that is new, or came back, gets its turn.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) client: Client,
    pub(crate) key: FileKey,
    turns: Turns,
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
            turns: Turns::new(client.order(key, &addresses), client.pools().io_timeout()),
            tried: Vec::new(),
            errors: Vec::new(),
            purpose,
            remembered,
        })
    }

    /// The address that comes next, if one is left.
    pub(crate) fn peek(&mut self) -> Option<&Address> {
        if self.turns.all_had_one() && std::mem::take(&mut self.remembered) {
            self.ask_again();
        }
        self.turns.peek()
    }

    /// The next address, if one is left, and how long a question to it may take.
    pub(crate) fn next(&mut self) -> Option<(Address, Duration)> {
        self.peek()?;
        let (address, time) = self.turns.next()?;
        self.tried.push(address.clone());
        Some((address, time))
    }

    /// Takes note of why one that was asked did not answer.
    pub(crate) fn failed(&mut self, what: &'static str, address: &Address, error: Error) {
        log::debug!("{what} {}: {}", self.key.file, error.chain());
        self.turns.failed(address, &error);
        self.errors.push(error);
    }

    /// Gives an address another turn, after all others.
    pub(crate) fn retry_last(&mut self, address: Address) {
        self.turns.again(address, false);
    }

    /// Gives an address another turn at once.
    pub(crate) fn retry_next(&mut self, address: Address) {
        self.turns.again(address, true);
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
        mut ask: impl FnMut(Peer<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        while let Some((address, time)) = self.next() {
            match ask(Peer::new(&address, time)) {
                Err(error) if error.moves_on() => self.failed(what, &address, error),
                result => return result,
            }
        }
        Err(Error::all_failed(what, std::mem::take(&mut self.errors)))
    }

    /// All addresses, tried or not.
    pub(crate) fn into_all(self) -> Vec<Address> {
        let mut all = Vec::new();
        for address in self.tried.into_iter().chain(self.turns.into_rest()) {
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
                let ordered = self.client.order(&self.key, &addresses);
                self.turns.extend(ordered.into_iter().filter(untried));
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
    ask: impl FnMut(Peer<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    Candidates::new(client, key, Purpose::Look)?.ask_each(what, ask)
}
