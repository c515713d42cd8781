//! Connects with the driver, within a deadline even if the driver resolves a name.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use base::thread;
use crossbeam_channel::RecvTimeoutError;
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
    let dialled = until(deadline, move || dial(opts));
    dialled.unwrap_or_else(|error| {
        let source = Arc::new(error);
        let what = "connect to the server by its name";
        Err(NotConnected::Unreached(
            DbError::Unavailable { what, source }.into(),
        ))
    })
}

/// Runs `work` on a new thread and returns its result.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] at the deadline; `work` panics; or the system refuses a thread.
fn until<T: Send + 'static>(
    deadline: Instant,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = crossbeam_channel::bounded(1);
    // After the deadline the receiver is gone.
    let thread = thread::spawn("db-connect", move || drop(sender.send(work())))?;
    drop(thread);
    result.recv_deadline(deadline).map_err(|error| match error {
        RecvTimeoutError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        RecvTimeoutError::Disconnected => io::Error::other("the driver panicked"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_driver_that_does_not_return_costs_no_more_than_the_deadline() {
        let (release, held) = crossbeam_channel::bounded::<()>(0);
        let late = until(Instant::now() + Duration::from_millis(50), move || {
            assert!(held.recv().is_err());
        });
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(release);
    }

    #[test]
    fn what_the_driver_returns_is_passed_on_and_its_panic_is_an_error() {
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(until(deadline, || 7).unwrap(), 7);
        until(deadline, || panic!("on purpose")).unwrap_err();
    }
}
