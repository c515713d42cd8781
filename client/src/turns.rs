//! Which server is asked next, and how long it may take.

use std::collections::VecDeque;
use std::time::Duration;

use proto::Address;

use crate::wait::Limit;
use crate::{Error, ErrorKind};

/// How long a server may take while another one can be asked: a server that hangs must not use up
/// the time of those that wait for an answer.
pub(crate) const TRY_TIME: Duration = Duration::from_secs(2);

/// A server to ask, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) address: &'a Address,
    pub(crate) limit: Limit,
}

impl<'a> Peer<'a> {
    /// The server has `time` from now on.
    pub(crate) fn new(address: &'a Address, time: Duration) -> Peer<'a> {
        let limit = Limit::new(time);
        Peer { address, limit }
    }
}

/// Servers any of which can answer a question. Each but the last has [`TRY_TIME`] at first; those
/// that were silent for so long have the whole time-out once all others have failed.
#[derive(Debug)]
pub(crate) struct Turns {
    waiting: VecDeque<Address>,
    /// Those that answered nothing in the short time.
    silent: VecDeque<Address>,
    timeout: Duration,
    /// Whether the current turn is a short one.
    is_short: bool,
    /// Whether the silent ones have their second turn.
    is_second: bool,
}

impl Turns {
    /// For these servers in this order; `timeout` is the longest wait for one of them.
    pub(crate) fn new(addresses: Vec<Address>, timeout: Duration) -> Turns {
        Turns {
            waiting: addresses.into(),
            silent: VecDeque::new(),
            timeout,
            is_short: false,
            is_second: false,
        }
    }

    /// The server of the next turn, if one is left.
    pub(crate) fn peek(&mut self) -> Option<&Address> {
        if self.waiting.is_empty() && !self.silent.is_empty() {
            self.waiting = std::mem::take(&mut self.silent);
            self.is_second = true;
        }
        self.waiting.front()
    }

    /// Whether all had their first turn.
    pub(crate) fn all_had_one(&self) -> bool {
        self.waiting.is_empty() || self.is_second
    }

    /// The server of the next turn and the time for it.
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

    /// The server of the latest turn failed: one that was silent for a short time gets another
    /// turn.
    pub(crate) fn failed(&mut self, address: &Address, error: &Error) {
        if self.is_short && error.kind() == ErrorKind::Timeout {
            self.silent.push_back(address.clone());
        }
    }

    /// Adds servers for their first turn.
    pub(crate) fn extend(&mut self, addresses: impl IntoIterator<Item = Address>) {
        self.waiting.extend(addresses);
    }

    /// Gives a server another turn, before or after the others.
    pub(crate) fn again(&mut self, address: Address, first: bool) {
        if first {
            self.waiting.push_front(address);
        } else {
            self.waiting.push_back(address);
        }
    }

    /// Servers that wait for a turn.
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
        let mut turns = Turns::new(vec![address(1)], TIMEOUT);
        let (first, time) = turns.next().unwrap();
        assert_eq!((&first, time), (&address(1), TIMEOUT));
        turns.failed(&first, &timeout(&first));
        assert!(turns.next().is_none());
    }

    #[test]
    fn a_silent_server_has_a_second_turn_behind_all_others() {
        let mut turns = Turns::new((1..=3).map(address).collect(), TIMEOUT);
        let mut order = Vec::new();
        while let Some((server, time)) = turns.next() {
            let error = match server == address(2) {
                true => refusal(&server),
                false => timeout(&server),
            };
            turns.failed(&server, &error);
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
        let mut turns = Turns::new(vec![address(1), address(2)], short);
        let (first, time) = turns.next().unwrap();
        assert_eq!(time, short);
        turns.failed(&first, &timeout(&first));
        assert_eq!(turns.next(), Some((address(2), short)));
        assert_eq!(turns.next(), None);
    }
}
