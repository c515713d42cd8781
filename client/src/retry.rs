//! Going on with a download elsewhere: which storage is asked next, and when to give up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proto::{Address, FileKey};

use crate::client::Purpose;
use crate::turns::TRY_TIME;
use crate::{Client, Error};

/// How often all storages are tried without a byte of progress, at most.
const ROUNDS_MAX: u32 = 4;
/// How often they are tried however long that takes: the second time where the trackers say.
const ROUNDS_MIN: u32 = 2;
/// The wait before each round but the first. All of them together outlast the restart of a storage
/// that is the only one of its group, and hold the reader's thread no longer than that.
const PAUSE: Duration = Duration::from_millis(500);

/// The attempts to go on since the last byte of progress.
#[derive(Default)]
pub(crate) struct Retry {
    waiting: VecDeque<Address>,
    rounds: u32,
    /// When the first round began.
    began: Option<Instant>,
    /// The storage that broke off first: it is asked last in each round.
    broken: Option<Address>,
    errors: Vec<Error>,
}

impl Retry {
    /// A storage broke off.
    pub(crate) fn broke(&mut self, address: Address, error: Error) {
        self.errors.push(error);
        self.broken.get_or_insert(address);
    }

    /// The next storage to try: first those that are known, then those that the trackers name now,
    /// or the known ones again if the trackers cannot tell. The one that broke off comes last.
    /// Waits before each round but the first. With the storage comes the time it has: a short one in
    /// the first round while another storage is left.
    pub(crate) fn next(
        &mut self,
        client: &Client,
        key: &FileKey,
        known: &mut Vec<Address>,
    ) -> Option<(Address, Duration)> {
        let timeout = client.pools().io_timeout();
        while self.waiting.is_empty() && self.may_go_round(timeout) {
            self.rounds += 1;
            if self.rounds > 1 {
                pause();
                match client.storages_now(key, Purpose::Look) {
                    Ok(addresses) => *known = addresses,
                    Err(error) => self.errors.push(error),
                }
            }
            let (broken, others): (Vec<Address>, Vec<Address>) = client
                .order(key, known)
                .into_iter()
                .partition(|address| Some(address) == self.broken.as_ref());
            self.waiting = others.into_iter().chain(broken).collect();
        }
        let address = self.waiting.pop_front()?;
        let is_short = self.rounds == 1 && !self.waiting.is_empty();
        let time = if is_short {
            TRY_TIME.min(timeout)
        } else {
            timeout
        };
        Some((address, time))
    }

    /// A storage did not agree to go on.
    pub(crate) fn failed(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// Why each attempt failed.
    pub(crate) fn take_errors(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.errors)
    }

    /// Whether to begin another round. Servers that are silent cost a time-out each: they are not
    /// waited for four times.
    fn may_go_round(&mut self, io_timeout: Duration) -> bool {
        let began = *self.began.get_or_insert_with(Instant::now);
        self.rounds < ROUNDS_MIN || self.rounds < ROUNDS_MAX && began.elapsed() < io_timeout
    }
}

/// Lets [`PAUSE`] pass; there is nobody to end it early.
fn pause() {
    let nothing = Mutex::new(());
    Condvar::new().wait_for(&mut nothing.lock(), PAUSE);
}
