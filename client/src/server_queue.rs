//! The order in which equivalent servers are asked, and the time for each.

use std::collections::VecDeque;
use std::time::Duration;

use proto::Address;

use crate::time_limits::RequestLimit;
use crate::{Error, ErrorKind};

/// Time for a server while another one is left: one hanging server must not use up the whole
/// timeout.
pub(crate) const TRY_TIME: Duration = Duration::from_secs(2);

/// A server to ask, and the time limit of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) address: &'a Address,
    pub(crate) limit: RequestLimit,
}

impl<'a> Peer<'a> {
    /// The time limit begins now.
    pub(crate) fn new(address: &'a Address, time: Duration) -> Peer<'a> {
        let limit = RequestLimit::new(time);
        Peer { address, limit }
    }
}

/// A queue of servers that can all answer the same request. Each but the last one has [`TRY_TIME`].
/// A server that did not answer in this time gets the whole timeout after all others have failed.
#[derive(Debug)]
pub(crate) struct ServerQueue {
    /// The kind of server in messages, such as `tracker`.
    role: &'static str,
    waiting: VecDeque<Address>,
    /// The servers that did not answer within [`TRY_TIME`].
    silent: VecDeque<Address>,
    timeout: Duration,
    /// True if the current attempt has [`TRY_TIME`].
    is_short: bool,
    /// True if the silent servers have their second attempt.
    is_second: bool,
    /// The failures so far.
    errors: Vec<Error>,
}

impl ServerQueue {
    /// The servers in this order; `timeout` is the limit for one of them.
    pub(crate) fn new(
        role: &'static str,
        addresses: Vec<Address>,
        timeout: Duration,
    ) -> ServerQueue {
        ServerQueue {
            role,
            waiting: addresses.into(),
            silent: VecDeque::new(),
            timeout,
            is_short: false,
            is_second: false,
            errors: Vec::new(),
        }
    }

    /// Calls `ask` for each server until one answers, or fails with an error for which `moves_on` is false.
    /// Returns the server and its answer. A silent server costs [`TRY_TIME`] while another one is left.
    pub(crate) fn ask<T>(
        mut self,
        what: &'static str,
        moves_on: impl Fn(&Error) -> bool,
        ask: impl Fn(Peer<'_>) -> Result<T, Error>,
    ) -> Result<(Address, T), Error> {
        while let Some((address, time)) = self.next() {
            match ask(Peer::new(&address, time)) {
                Ok(answer) => return Ok((address, answer)),
                Err(error) if moves_on(&error) => self.failed(what, &address, error),
                Err(error) => return Err(error),
            }
        }
        Err(self.all_failed(what))
    }

    /// The next server, if one is left.
    pub(crate) fn peek(&mut self) -> Option<&Address> {
        if self.waiting.is_empty() && !self.silent.is_empty() {
            self.waiting = std::mem::take(&mut self.silent);
            self.is_second = true;
        }
        self.waiting.front()
    }

    /// True if each server was returned once.
    pub(crate) fn all_asked_once(&self) -> bool {
        self.waiting.is_empty() || self.is_second
    }

    /// Removes the next server; with the time for it.
    pub(crate) fn next(&mut self) -> Option<(Address, Duration)> {
        self.peek()?;
        let address = self.waiting.pop_front()?;
        self.is_short = !self.is_second && !self.waiting.is_empty() && TRY_TIME < self.timeout;
        let time = if self.is_short {
            TRY_TIME
        } else {
            self.timeout
        };
        Some((address, time))
    }

    /// Records a failure. After a short timeout the server gets a second attempt.
    pub(crate) fn failed(&mut self, what: &str, address: &Address, error: Error) {
        log::debug!("{what}: {}", error.chain());
        if self.is_short && error.kind() == ErrorKind::Timeout {
            self.silent.push_back(address.clone());
        }
        self.errors.push(error);
    }

    /// The error of a request that failed at each server.
    pub(crate) fn all_failed(&mut self, what: &'static str) -> Error {
        if self.errors.is_empty() {
            return Error::NoServer(self.role);
        }
        Error::all_failed(what, std::mem::take(&mut self.errors))
    }

    /// Appends servers.
    pub(crate) fn extend(&mut self, addresses: impl IntoIterator<Item = Address>) {
        self.waiting.extend(addresses);
    }

    /// Adds a server again, at the front or at the back.
    pub(crate) fn again(&mut self, address: Address, first: bool) {
        if first {
            self.waiting.push_front(address);
        } else {
            self.waiting.push_back(address);
        }
    }

    /// The servers that are left.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Address> {
        self.waiting.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn address(n: u8) -> Address {
        format!("127.0.0.{n}:1").parse().unwrap()
    }

    fn timeout(address: &Address) -> Error {
        Error::Timeout {
            address: address.clone(),
            doing: "reading the reply",
            timeout: TRY_TIME,
        }
    }

    fn refusal(address: &Address) -> Error {
        Error::Connect {
            address: address.clone(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        }
    }

    #[test]
    fn the_only_server_has_the_whole_time() {
        let mut queue = ServerQueue::new("tracker", vec![address(1)], TIMEOUT);
        let (first, time) = queue.next().unwrap();
        assert_eq!((&first, time), (&address(1), TIMEOUT));
        queue.failed("ask", &first, timeout(&first));
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_silent_server_has_a_second_turn_behind_all_others() {
        let mut queue = ServerQueue::new("tracker", (1..=3).map(address).collect(), TIMEOUT);
        let mut order = Vec::new();
        while let Some((server, time)) = queue.next() {
            let error = match server == address(2) {
                true => refusal(&server),
                false => timeout(&server),
            };
            queue.failed("ask", &server, error);
            order.push((server, time));
        }
        let expected = [
            (address(1), TRY_TIME),
            (address(2), TRY_TIME),
            (address(3), TIMEOUT),
            (address(1), TIMEOUT),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_short_time_out_is_not_prolonged() {
        let short = Duration::from_millis(500);
        let mut queue = ServerQueue::new("tracker", vec![address(1), address(2)], short);
        let (first, time) = queue.next().unwrap();
        assert_eq!(time, short);
        queue.failed("ask", &first, timeout(&first));
        assert_eq!(queue.next(), Some((address(2), short)));
        assert_eq!(queue.next(), None);
    }
}
