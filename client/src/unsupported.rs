//! Commands that C++ servers do not support. A server without a command is remembered, and asked
//! with a command of the C++ system instead.

use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::{Address, ErrorCode};

use crate::Error;

/// How long a server without the command is remembered. It may be upgraded meanwhile.
const REMEMBER_TIME: Duration = Duration::from_secs(600);
/// Limit on remembered servers.
const SERVERS_MAX: usize = 10_000;

/// The connection for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionChoice {
    /// A pooled one if there is one, else a new one.
    Any,
    /// A new one.
    Fresh,
}

/// The servers without one command.
#[derive(Debug)]
pub(crate) struct UnsupportedCommands {
    command: &'static str,
    servers: Mutex<ExpiringMap<Address, ()>>,
}

impl UnsupportedCommands {
    pub(crate) fn new(command: &'static str) -> UnsupportedCommands {
        UnsupportedCommands {
            command,
            servers: Mutex::new(ExpiringMap::new(SERVERS_MAX)),
        }
    }

    /// The result of `ask`, which sends the command, or of `instead` if the server does not support
    /// the command. If the connection breaks, `ask` is called again on a new one: a restarting server
    /// closes the connection once, a server without the command closes it every time.
    ///
    /// # Errors
    /// Those of `ask`, or of `instead` if it was called.
    pub(crate) fn ask<T>(
        &self,
        address: &Address,
        mut ask: impl FnMut(ConnectionChoice) -> Result<T, Error>,
        instead: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.has(address) {
            return instead();
        }
        let answer = match ask(ConnectionChoice::Any) {
            Err(Error::Io { .. }) => ask(ConnectionChoice::Fresh),
            answer => answer,
        };
        match answer {
            Err(error) if may_be_unknown(&error) => {
                let answer = instead()?;
                // The server works, so it refused the command only.
                self.remember(address);
                Ok(answer)
            }
            answer => answer,
        }
    }

    /// True if the server is remembered as one without the command.
    pub(crate) fn has(&self, address: &Address) -> bool {
        self.servers.lock().get(address, Instant::now()).is_some()
    }

    pub(crate) fn remember(&self, address: &Address) {
        log::debug!("{address} does not know {}", self.command);
        let mut servers = self.servers.lock();
        servers.insert(address.clone(), (), REMEMBER_TIME, Instant::now());
    }
}

/// True if the error may mean that the server does not support the command. A C++ server answers with
/// a failure of code [`ErrorCode::Unknown`], or closes the connection.
///
/// A caller may remember the server once it has answered another command.
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
