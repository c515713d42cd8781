//! The order in which a download tries storages after a failure, and when it gives up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proto::{Address, FileKey};

use crate::client::Purpose;
use crate::server_queue::TRY_TIME;
use crate::{Client, Error};

/// Limit on rounds through all storages without a byte of progress.
const ROUNDS_MAX: u32 = 4;
/// Rounds that are made however long they take. The second one uses the trackers' answer.
const ROUNDS_MIN: u32 = 2;
/// Pause before each round but the first. All pauses together outlast the restart of a storage that
/// is the only one of its group.
const PAUSE: Duration = Duration::from_millis(500);

/// The attempts since the last byte of progress.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    waiting: VecDeque<Address>,
    rounds: u32,
    /// Start of the first round.
    began: Option<Instant>,
    paused_until: Option<Instant>,
    /// The storage that failed first: it is tried last in each round.
    broken: Option<Address>,
    errors: Vec<Error>,
}

/// The next step of a download without a connection.
pub(crate) enum Next {
    /// Try this storage for this time.
    Ask(Address, Duration),
    /// Wait: the next round begins after a pause.
    Pause,
    GiveUp,
}

impl Retry {
    /// Records a storage that failed while it sent content.
    pub(crate) fn broke(&mut self, address: Address, error: Error) {
        self.errors.push(error);
        self.broken.get_or_insert(address);
    }

    /// Records a storage that could not be opened.
    pub(crate) fn failed(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// The next storage to try. The first round has the `known` storages, the later ones those that
    /// the trackers name, or the known ones if no tracker answers. The time is short in the first
    /// round while another storage is left.
    pub(crate) fn next(
        &mut self,
        client: &Client,
        key: &FileKey,
        known: &mut Vec<Address>,
    ) -> Next {
        let timeout = client.shared.pool.io_timeout();
        while self.waiting.is_empty() {
            match self.paused_until {
                Some(until) if Instant::now() < until => return Next::Pause,
                Some(_) => self.paused_until = None,
                None if self.rounds == 0 => self.began = Some(Instant::now()),
                None if self.may_go_round(timeout) => {
                    self.paused_until = Some(Instant::now() + PAUSE);
                    return Next::Pause;
                }
                None => return Next::GiveUp,
            }
            self.begin_round(client, key, known);
        }
        let Some(address) = self.waiting.pop_front() else {
            return Next::GiveUp;
        };
        let is_short = self.rounds == 1 && !self.waiting.is_empty();
        let time = match is_short {
            true => TRY_TIME.min(timeout),
            false => timeout,
        };
        Next::Ask(address, time)
    }

    fn begin_round(&mut self, client: &Client, key: &FileKey, known: &mut Vec<Address>) {
        self.rounds += 1;
        let found = match self.rounds {
            1 if !known.is_empty() => None,
            1 => Some(client.storages_of(key, Purpose::Read).map(|found| found.0)),
            _ => Some(client.storages_now(key, Purpose::Read)),
        };
        match found {
            Some(Ok(addresses)) => *known = addresses,
            Some(Err(error)) => self.errors.push(error),
            None => {}
        }
        let mut addresses = client.order(key, Purpose::Read, known);
        addresses.sort_by_key(|address| Some(address) == self.broken.as_ref());
        self.waiting = addresses.into();
    }

    /// Time left of the current pause.
    pub(crate) fn pause_left(&self) -> Option<Duration> {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.paused_until.map(left)
    }

    /// Blocks for the rest of the current pause.
    pub(crate) fn sleep(&self) {
        if let Some(until) = self.paused_until {
            // Nobody notifies: the wait is a pause.
            let nothing = Mutex::new(());
            Condvar::new().wait_until(&mut nothing.lock(), until);
        }
    }

    /// Why each attempt failed.
    pub(crate) fn into_errors(self) -> Vec<Error> {
        self.errors
    }

    /// True if another round may begin. Silent servers cost a timeout each: they get two rounds.
    fn may_go_round(&self, io_timeout: Duration) -> bool {
        let is_quick = self.began.is_some_and(|began| began.elapsed() < io_timeout);
        self.rounds < ROUNDS_MIN || self.rounds < ROUNDS_MAX && is_quick
    }
}
