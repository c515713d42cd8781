//! Connects with the driver, within a deadline even if the driver resolves a name.

use std::sync::Arc;
use std::time::Instant;

use base::thread;
use mysql::{Conn, OptsBuilder};

use super::failure::Failure;
use crate::DbError;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NotConnected {
    /// The server answered and refused: its other addresses need not be tried.
    Refused(Failure),
    /// No server answered.
    Unreached(Failure),
}

impl NotConnected {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            NotConnected::Refused(failure) | NotConnected::Unreached(failure) => failure,
        }
    }
}

/// Connects to an address.
pub(super) fn dial(opts: OptsBuilder) -> Result<Conn, NotConnected> {
    Conn::new(opts).map_err(|error| match error {
        error @ mysql::Error::MySqlError(_) => NotConnected::Refused(error.into()),
        error => NotConnected::Unreached(error.into()),
    })
}

/// Connects to a name, until `deadline`. The driver resolves the name without a time-out, and accepts no
/// address beside the name of the certificate. So it runs on its own thread. A late thread is not
/// joined: it ends when the system's resolver returns. The caller resolves the name first, so that an
/// unreachable name server blocks no thread.
pub(super) fn dial_name(opts: OptsBuilder, deadline: Instant) -> Result<Conn, NotConnected> {
    let dialled = thread::run_until(deadline, "db-connect", move || dial(opts));
    dialled.unwrap_or_else(|error| {
        let source = Arc::new(error);
        let what = "connect to the server by its name";
        Err(NotConnected::Unreached(
            DbError::Unavailable { what, source }.into(),
        ))
    })
}
