//! Commands of our own, which a C++ server does not know: who does not know one is remembered and
//! asked with a command of the C++ system instead.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{Address, ErrorCode};

use crate::Error;

/// How long a server that does not know the command is not asked with it: it may be upgraded.
const SPARE_TIME: Duration = Duration::from_secs(600);
/// Most servers remembered.
const SERVERS_MAX: usize = 10_000;

/// The connection to ask on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Whichever is at hand.
    Any,
    /// A new one.
    Fresh,
}

/// The servers that do not know one command, and since when we know.
#[derive(Debug)]
pub(crate) struct Lacking {
    command: &'static str,
    since: Mutex<HashMap<Address, Instant>>,
}

impl Lacking {
    pub(crate) fn new(command: &'static str) -> Lacking {
        Lacking {
            command,
            since: Mutex::default(),
        }
    }

    /// The answer to the command of ours, `ask`, or of `instead` where that is not known. `ask` is
    /// called once more, on a new connection, if the first one breaks: a server that restarts
    /// breaks it too, and only one that does not know the command breaks each.
    ///
    /// # Errors
    /// Those of `ask`, or of `instead` if it was called.
    pub(crate) fn ask<T>(
        &self,
        address: &Address,
        mut ask: impl FnMut(Way) -> Result<T, Error>,
        instead: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.has(address) {
            return instead();
        }
        let answer = match ask(Way::Any) {
            Err(Error::Io { .. }) => ask(Way::Fresh),
            answer => answer,
        };
        match answer {
            Err(error) if may_be_unknown(&error) => {
                let answer = instead()?;
                // It is well, it has what was asked for, and yet it refused.
                self.remember(address);
                Ok(answer)
            }
            answer => answer,
        }
    }

    /// Whether a server is known not to know it.
    pub(crate) fn has(&self, address: &Address) -> bool {
        let since = self.since.lock();
        let since = since.get(address);
        since.is_some_and(|since| since.elapsed() < SPARE_TIME)
    }

    fn remember(&self, address: &Address) {
        log::debug!("{address} does not know {}", self.command);
        let mut since = self.since.lock();
        if since.len() >= SERVERS_MAX {
            since.clear();
        }
        since.insert(address.clone(), Instant::now());
    }
}

/// How a server may answer a command that it does not know: a C++ one with a failure without a
/// kind, or by closing each connection that brings it; another one by saying so.
///
/// Whoever asks over and over may remember that, once the server was seen to answer another command.
pub fn may_be_unknown(error: &Error) -> bool {
    match error {
        Error::Fault { source, .. } if source.code == ErrorCode::BadRequest => {
            source.message.contains("unknown command")
        }
        Error::Fault { source, .. } => source.code == ErrorCode::Unknown,
        Error::Io { .. } => true,
        _ => false,
    }
}
